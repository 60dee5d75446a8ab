/** @file A peer as a child process that answers one JSON line a request, so that both sides take turns in one run. */
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";

/** Where the peers' scripts are, seen from the sources and from what they are compiled to. */
export const PEERS = join(import.meta.dirname, "../bench/peers");

export interface PeerAnswer {
  readonly ms: number;
  readonly rss_mb: number;
  readonly peak_mb: number;
  readonly checksum?: number;
  readonly points?: number;
  readonly mb?: number;
  readonly tokens?: readonly (readonly number[])[];
  /** Of a sweep, nested as its axes are; a flat list where only some cells were run. */
  readonly values?: readonly unknown[];
  readonly clean?: number;
  readonly corrupted?: number;
  /** What all cells would take, where only some were run. */
  readonly extrapolated_ms?: number;
  /** Layer, head and key of each cell that was run. */
  readonly cells?: readonly (readonly [number, number, number])[];
}

export class Peer {
  readonly name: string;
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: Interface;
  readonly #waiting: ((line: string) => void)[] = [];

  constructor(name: string, python: string, script: string) {
    this.name = name;
    this.#process = spawn(python, [script], { stdio: "pipe", env: { ...process.env, HF_HUB_OFFLINE: "1" } });
    this.#process.stderr.resume();
    this.#lines = createInterface({ input: this.#process.stdout });
    this.#lines.on("line", (line) => this.#waiting.shift()?.(line));
  }

  /** The answer to a request; an error of the peer is thrown. */
  async ask(request: object): Promise<PeerAnswer> {
    const line = await new Promise<string>((resolve, reject) => {
      this.#waiting.push(resolve);
      this.#process.once("exit", () => reject(new Error(`${this.name} ended`)));
      this.#process.stdin.write(`${JSON.stringify(request)}\n`);
    });
    this.#process.removeAllListeners("exit");
    const answer = JSON.parse(line) as PeerAnswer & { error?: string };
    if (answer.error !== undefined) throw new Error(`${this.name}: ${answer.error}`);
    return answer;
  }

  end(): void {
    this.#process.stdin.end(`${JSON.stringify({ op: "exit" })}\n`);
  }
}
