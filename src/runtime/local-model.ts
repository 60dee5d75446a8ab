/** @file A model in this process: takes requests one after another, refuses what the memory cannot hold, and measures what each cost. */
import { totalmem } from "node:os";
import { refuse } from "../base/errors.js";
import type { Tensor } from "../base/tensor.js";
import type { Checkpoint } from "../formats/safetensors.js";
import type { ModelSpec } from "../models/spec.js";
import type { Engine } from "./engine.js";
import { forecastForward, forecastGenerate } from "./forecast.js";
import { forward, type Runner } from "./forward.js";
import { generate } from "./generate.js";
import type {
  Forecast,
  ForwardRequest,
  ForwardResult,
  GenerateOptions,
  GenerateRequest,
  GenerateResult,
  Model,
  PausedRun,
  RunOptions,
} from "./model.js";
import { pause, resume } from "./pause.js";

export class LocalModel implements Model {
  readonly spec: ModelSpec;
  readonly #runner: Runner;
  #flopsPerMs: number | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(spec: ModelSpec, engine: Engine, checkpoint: Checkpoint, options: { memoryLimit?: number } = {}) {
    this.spec = spec;
    this.#runner = { spec, engine, checkpoint, memoryLimit: options.memoryLimit ?? totalmem() };
  }

  forward(request: ForwardRequest, options: RunOptions = {}): Promise<ForwardResult> {
    return this.#inTurn(() => this.#timed(this.forecast(request), () => forward(this.#runner, request, options)));
  }

  generate(request: GenerateRequest, options: GenerateOptions = {}): Promise<GenerateResult> {
    return this.#inTurn(() => this.#timed(this.forecast(request), () => generate(this.#runner, request, options)));
  }

  runUntil(address: string, request: ForwardRequest, options: RunOptions = {}): Promise<PausedRun> {
    return this.#inTurn(() => pause(this.#runner, address, request, options));
  }

  runFrom(paused: PausedRun, value: Tensor, options: RunOptions = {}): Promise<ForwardResult> {
    return this.#inTurn(() => this.#timed(this.forecast(paused.request), () => resume(this.#runner, paused, value, options)));
  }

  forecast(request: ForwardRequest | GenerateRequest): Forecast {
    return "maxNew" in request
      ? forecastGenerate(this.spec, request, this.#flopsPerMs)
      : forecastForward(this.spec, request, this.#flopsPerMs);
  }

  async close(): Promise<void> {
    await this.#inTurn(() => this.#runner.engine.close());
    this.#runner.checkpoint.close();
  }

  /** Runs are taken one after another: two at once would share the cores and the cached sessions for no gain. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work, work);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  async #timed<T extends object>(forecast: Forecast, work: () => Promise<T>): Promise<T & { cost: { ms: number; forecast: Forecast } }> {
    refuseTooLarge(forecast, this.#runner.memoryLimit);
    const start = performance.now();
    const result = await work();
    const ms = performance.now() - start;
    if (forecast.flops > 0) this.#flopsPerMs = forecast.flops / Math.max(ms, 1e-3);
    return { ...result, cost: { ms, forecast } };
  }
}

function refuseTooLarge({ resultBytes, cacheBytes }: Forecast, limit: number): void {
  if (resultBytes + cacheBytes <= limit) return;
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
  throw refuse(
    {
      what: `the run would return ${gigabytes(resultBytes)} and cache ${gigabytes(cacheBytes)}`,
      why: `the machine has ${gigabytes(limit)} of memory`,
      instead: "use fewer rows, read fewer points, or ask for logits at fewer positions",
    },
    "memory",
  );
}
