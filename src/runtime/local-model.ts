/** @file A model in this process: takes requests one after another, refuses what the memory cannot hold, and measures what each cost. */
import { describeBytes } from "../base/bytes.js";
import { refuse, SextantError } from "../base/errors.js";
import type { Tensor } from "../base/tensor.js";
import type { ModelSpec } from "../models/spec.js";
import { closedModel } from "./check-request.js";
import { workingBytes } from "./forecast.js";
import { Forecaster } from "./forecaster.js";
import { forward, type Runner } from "./forward.js";
import { generate } from "./generate.js";
import type {
  Cost,
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
import { pullNode, runNode } from "./circuit/nodes.js";
import type { NodePull, NodeRequest } from "./circuit/request.js";
import type { GradientRequest, GradientResult } from "./gradient/request.js";
import { gradient } from "./gradient/run.js";
import { pause, resume } from "./pause.js";
import type { SweepForecast, SweepOptions, SweepRequest, SweepResult } from "./sweep/request.js";
import { prepareSweep, refuseLargeSweep, runSweep } from "./sweep/sweep.js";

export class LocalModel implements Model {
  readonly spec: ModelSpec;
  readonly #runner: Runner;
  readonly #memoryLeft: () => number;
  readonly #forecaster: Forecaster;
  #turn: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;

  /** `memoryLeft`: how many bytes a run may take, asked in front of each. */
  constructor(runner: Runner, memoryLeft: () => number) {
    this.spec = runner.spec;
    this.#runner = runner;
    this.#forecaster = new Forecaster(runner.spec);
    this.#memoryLeft = memoryLeft;
  }

  forward(request: ForwardRequest, options: RunOptions = {}): Promise<ForwardResult> {
    return this.#inTurn(() => this.#timed(this.#admit(request), () => forward(this.#runner, request, options)));
  }

  generate(request: GenerateRequest, options: GenerateOptions = {}): Promise<GenerateResult> {
    return this.#inTurn(() => this.#timed(this.#admit(request), () => generate(this.#runner, request, options)));
  }

  runUntil(address: string, request: ForwardRequest, options: RunOptions = {}): Promise<PausedRun> {
    return this.#inTurn(() => {
      this.#admit(request);
      return pause(this.#runner, address, request, options);
    });
  }

  runFrom(paused: PausedRun, value: Tensor, options: RunOptions = {}): Promise<ForwardResult> {
    return this.#inTurn(() => this.#timed(this.#admit(paused.request), () => resume(this.#runner, paused, value, options)));
  }

  gradient(request: GradientRequest, options: RunOptions = {}): Promise<GradientResult> {
    return this.#inTurn(async () => {
      const { tokens, edits = [], at = [], beyondContext = false } = request;
      const read = [...new Set([...at, ...(request.read ?? [])])];
      this.#admit({ tokens, edits, read, logits: false, beyondContext });
      const start = performance.now();
      const result = await gradient(this.#runner, request, options);
      return { ...result, cost: { ms: performance.now() - start, device: this.#device } };
    });
  }

  runNode(request: NodeRequest, options: RunOptions = {}): ReturnType<Model["runNode"]> {
    return this.#inTurn(() => runNode(this.#runner, request, options));
  }

  pullNode(request: NodePull, options: RunOptions = {}): ReturnType<Model["pullNode"]> {
    return this.#inTurn(() => pullNode(this.#runner, request, options));
  }

  forecast(request: ForwardRequest | GenerateRequest): Forecast {
    return this.#forecaster.forecast(request);
  }

  sweep(request: SweepRequest, options: SweepOptions = {}): Promise<SweepResult> {
    return this.#inTurn(async () => {
      const prepared = prepareSweep(this.spec, request, options);
      const forecast = this.#forecaster.ofSweep(prepared);
      refuseLargeSweep(prepared, this.spec, this.#memoryLeft());
      const start = performance.now();
      const { flops, ...result } = await runSweep(this.#runner, prepared, options);
      const ms = performance.now() - start;
      this.#forecaster.learn({ ms, flops });
      return { ...result, cost: { ms, device: this.#device, flops, forecast } };
    });
  }

  forecastSweep(request: SweepRequest, options: Pick<SweepOptions, "measures" | "memoryBudget"> = {}): SweepForecast {
    return this.#forecaster.forecastSweep(request, options);
  }

  close(): Promise<void> {
    this.#closing ??= this.#inTurn(() => this.#runner.engine.close()).finally(() => this.#runner.checkpoint.close());
    return this.#closing;
  }

  get #device(): Cost["device"] {
    return this.#runner.engine.device;
  }

  /** What a request will cost; refused where the memory does not hold it. */
  #admit(request: ForwardRequest | GenerateRequest): Forecast {
    const forecast = this.forecast(request);
    refuseTooLarge({ ...forecast, workingBytes: workingBytes(this.spec, request) }, this.#memoryLeft());
    return forecast;
  }

  /** Runs are taken one after another: two at once would share the cores and the cached sessions for no gain. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closing) return Promise.reject(closedModel());
    const mine = this.#turn.then(work, work).catch(tellMemory);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  async #timed<T extends object>(forecast: Forecast, work: () => Promise<T>): Promise<T & { cost: Cost }> {
    const start = performance.now();
    const result = await work();
    const ms = performance.now() - start;
    this.#forecaster.learn({ ms, flops: forecast.flops });
    return { ...result, cost: { ms, device: this.#device, forecast } };
  }
}

interface Needed extends Pick<Forecast, "resultBytes" | "cacheBytes"> {
  readonly workingBytes: number;
}

function refuseTooLarge({ resultBytes, cacheBytes, workingBytes: working }: Needed, limit: number): void {
  if (resultBytes + cacheBytes + working <= limit) return;
  throw refuse(
    {
      what: `the run would return ${describeBytes(resultBytes)}, cache ${describeBytes(cacheBytes)} and work in ${describeBytes(working)}`,
      why: `there are ${describeBytes(limit)} of memory for it`,
      instead: "use fewer or shorter rows, read fewer points, or ask for logits at fewer positions",
    },
    "memory",
  );
}

/** What V8 says when it cannot make an array, as an error of ours. */
function tellMemory(error: unknown): never {
  if (error instanceof RangeError && /array buffer|array length/i.test(error.message))
    throw new SextantError("memory", "not enough memory: use fewer or shorter rows, or read fewer points", { cause: error });
  throw error;
}
