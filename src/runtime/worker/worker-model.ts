/** @file A model that lives in a worker: every request is sent there, and forecasts are made here, from its spec and from the costs of its runs. */
import type { Tensor } from "../../base/tensor.js";
import type { ModelSpec } from "../../models/spec.js";
import { closedModel } from "../check-request.js";
import { Forecaster } from "../forecaster.js";
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
} from "../model.js";
import type { NodePull, NodeRequest } from "../circuit/request.js";
import type { GradientRequest, GradientResult } from "../gradient/request.js";
import type { SweepForecast, SweepOptions, SweepRequest, SweepResult } from "../sweep/request.js";
import type { Caller } from "./caller.js";
import type { CallOptions, RemoteMethod } from "./protocol.js";

export class WorkerModel implements Model {
  readonly spec: ModelSpec;
  readonly #caller: Caller;
  readonly #forecaster: Forecaster;
  #closing: Promise<void> | undefined;

  constructor(spec: ModelSpec, caller: Caller) {
    this.spec = spec;
    this.#caller = caller;
    this.#forecaster = new Forecaster(spec);
  }

  forward(request: ForwardRequest, options?: RunOptions): Promise<ForwardResult> {
    return this.#timed(this.#call("forward", [request], options));
  }

  generate(request: GenerateRequest, options?: GenerateOptions): Promise<GenerateResult> {
    return this.#timed(this.#call("generate", [request], options));
  }

  async runUntil(address: string, request: ForwardRequest, options?: RunOptions): Promise<PausedRun> {
    return { ...(await this.#call("runUntil", [address, request], options)), request };
  }

  runFrom(paused: PausedRun, value: Tensor, options?: RunOptions): Promise<ForwardResult> {
    return this.#timed(this.#call("runFrom", [paused, value], options));
  }

  gradient(request: GradientRequest, options?: RunOptions): Promise<GradientResult> {
    return this.#call("gradient", [request], options);
  }

  runNode(request: NodeRequest, options?: RunOptions): ReturnType<Model["runNode"]> {
    return this.#call("runNode", [request], options);
  }

  pullNode(request: NodePull, options?: RunOptions): ReturnType<Model["pullNode"]> {
    return this.#call("pullNode", [request], options);
  }

  forecast(request: ForwardRequest | GenerateRequest): Forecast {
    return this.#forecaster.forecast(request);
  }

  async sweep(request: SweepRequest, options?: SweepOptions): Promise<SweepResult> {
    const result = await this.#call("sweep", [request], options);
    this.#forecaster.learn(result.cost);
    return result;
  }

  forecastSweep(request: SweepRequest, options?: Pick<SweepOptions, "measures" | "memoryBudget">): SweepForecast {
    return this.#forecaster.forecastSweep(request, options);
  }

  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  /** Ends the worker when all requests are answered and the model there is closed. */
  async #end(): Promise<void> {
    try {
      if (!this.#caller.isLost) await this.#caller.call("close", []);
    } catch (error) {
      if (!this.#caller.isLost) throw error;
    } finally {
      await this.#caller.cut();
    }
  }

  #call<K extends RemoteMethod>(method: K, args: readonly unknown[], options: CallOptions | undefined): ReturnType<Model[K]> {
    const answer = this.#closing ? Promise.reject(closedModel()) : this.#caller.call(method, args, options);
    return answer as ReturnType<Model[K]>;
  }

  async #timed<T extends ForwardResult | GenerateResult>(answer: Promise<T>): Promise<T> {
    const result = await answer;
    this.#forecaster.learn({ ms: result.cost.ms, flops: result.cost.forecast.flops });
    return result;
  }
}
