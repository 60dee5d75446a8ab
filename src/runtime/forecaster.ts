/** @file Forecasts of a model's requests with the speed that its runs had: the part of a model that needs its spec and nothing else. */
import type { ModelSpec } from "../models/spec.js";
import { checkGeneration, checkLogits, checkTokens } from "./check-request.js";
import { forecastForward, forecastGenerate } from "./forecast.js";
import type { Forecast, ForwardRequest, GenerateRequest } from "./model.js";
import type { SweepForecast, SweepOptions, SweepRequest } from "./sweep/request.js";
import { forecastSweep, prepareSweep, type PreparedSweep } from "./sweep/sweep.js";

export class Forecaster {
  readonly #spec: ModelSpec;
  #flopsPerMs: number | undefined;

  constructor(spec: ModelSpec) {
    this.#spec = spec;
  }

  /** Takes the speed of a run that has ended, for the forecasts to come. */
  learn({ ms, flops }: { readonly ms: number; readonly flops: number }): void {
    if (flops > 0) this.#flopsPerMs = flops / Math.max(ms, 1e-3);
  }

  forecast(request: ForwardRequest | GenerateRequest): Forecast {
    if ("maxNew" in request) {
      checkGeneration(this.#spec, request);
      return forecastGenerate(this.#spec, request, this.#flopsPerMs);
    }
    const { tokens, logits, beyondContext } = request;
    checkTokens(this.#spec, tokens, { beyondContext });
    const lengths = tokens.map((row) => row.length);
    if (logits !== undefined && logits !== false) checkLogits(this.#spec, logits, lengths);
    return forecastForward(this.#spec, request, this.#flopsPerMs);
  }

  forecastSweep(request: SweepRequest, options: Pick<SweepOptions, "measures" | "memoryBudget"> = {}): SweepForecast {
    return this.ofSweep(prepareSweep(this.#spec, request, options));
  }

  ofSweep(prepared: PreparedSweep): SweepForecast {
    return forecastSweep(prepared, this.#flopsPerMs);
  }
}
