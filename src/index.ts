/**
 * @file The public API: all that `import { … } from "sextant"` gives. Whatever is not named here may change without notice.
 */

// Models: load a folder, run it, check it.
export { loadModel, readSpec, type LoadOptions } from "./runtime/load.js";
export { DEVICES, type Device } from "./runtime/device.js";
export { tryDevice } from "./runtime/try-device.js";
export { forecastMemory, type MemoryForecast, type Residence } from "./runtime/residence.js";
export type {
  Cost,
  Forecast,
  ForwardRequest,
  ForwardResult,
  GeneratedToken,
  GenerateOptions,
  GenerateRequest,
  GenerateResult,
  LogitsRequest,
  Model,
  PausedRun,
  Progress,
  RunOptions,
  Sampling,
} from "./runtime/model.js";
export type {
  Answer,
  Counterfactual,
  MeasuredAt,
  MetricName,
  NamedPositions,
  Patch,
  Span,
  SweepEdit,
  SweepForecast,
  SweepOptions,
  SweepPair,
  SweepPart,
  SweepRequest,
  SweepResult,
  SweepSelector,
  SweptMetric,
} from "./runtime/sweep/request.js";
export type { GradientRequest, GradientResult, Metric, Seed, Term } from "./runtime/gradient/request.js";
export { METRIC_NAMES } from "./runtime/sweep/metrics.js";
export { compareModels, type CompareOptions, type ModelComparison } from "./runtime/compare-models.js";
export { verifyModel, type VerifyOptions, type VerifyReport } from "./runtime/verify.js";
export type { WeightForm } from "./runtime/weight-forms.js";
export type { Check } from "./runtime/verify/check.js";
export { readGolden, type Golden } from "./runtime/golden-file.js";
export { compareDump, type ComparedTensor, type DumpReport, type DumpRequest } from "./runtime/verify/dump.js";

// Edits: what to change on the way.
export type { Edit, EditKind, Operation, Positions, ScheduledEdit, Selector, Values } from "./runtime/edit.js";
export { parseEdits, type Vectors } from "./runtime/parse-edits.js";
export {
  controlVectorEdits,
  directionsOf,
  readVectors,
  writeVectors,
  type ControlOptions,
  type Directions,
} from "./runtime/control-vector.js";

// Points and addresses: what can be read and changed.
export { isPointName, POINT_NAMES, pointRow, POINTS, type Address, type PointName, type PointRow } from "./models/points.js";
export { allPlaces, expandAddresses, parseAddress, type Place } from "./models/address.js";
export { MODEL_TYPES } from "./models/read-spec.js";
export type { AttentionSpec, LayerSpec, MlpSpec, ModelSpec, RotarySpec } from "./models/spec.js";

// Tensors and errors.
export { sizeOf, stridesOf, tensor, type Tensor, type TensorData } from "./base/tensor.js";
export { isSextantError, SextantError, type ErrorKind, type Refusal } from "./base/errors.js";

// Files.
export { openCheckpoint, readSafetensors, readSafetensorsHeader, type Checkpoint, type SafetensorsHeader } from "./formats/safetensors.js";
export { writeSafetensors, type WriteOptions } from "./formats/safetensors-writer.js";
export { readNpy, writeNpy } from "./formats/npy.js";
export { readNpz, writeNpz } from "./formats/npz.js";
export { writeTensors, type TensorFile, type TensorFormat } from "./formats/tensor-file.js";
export { readControlVector, writeControlVector, type ControlVectorFile } from "./formats/gguf/control-vector.js";
export { checkVocabulary, loadTokenizer, type Encoding, type Tokenizer } from "./formats/tokenizer.js";
export { encodeChat, renderChat, type ChatMessage, type ChatOptions } from "./formats/chat.js";

// Analyses.
export { logitLens, type LensRequest, type LensRow } from "./analyses/lens.js";
export {
  ablateHeads,
  headsOf,
  patternOf,
  scoreHead,
  scoreHeads,
  type AblationRequest,
  type HeadEffect,
  type HeadPlace,
  type HeadScores,
  type ScoredHead,
} from "./analyses/heads.js";
export { makeGrid, type Grid, type GridAxis, type GridOperation, type GridPosition, type GridRequest } from "./analyses/sweeps/grid.js";
export {
  nested,
  sweepGrid,
  sweepOf,
  sweepPaths,
  type GridFinding,
  type GridPathRequest,
  type GridSweepRequest,
  type Judging,
} from "./analyses/sweeps/grid-sweep.js";
export { effectsOf, type Effect, type EffectOptions, type Effects, type Guard } from "./analyses/sweeps/effects.js";
export { patchPaths, type PathOptions, type PathRequest, type Receiver } from "./analyses/sweeps/path.js";
export { keepOneIn, leaveOneOut, meanActivations, resampled, type Component, type MeanRequest } from "./analyses/sweeps/ablation.js";
export { logSumExp } from "./base/log-sum-exp.js";
export { standingOf, topTokens, type TokenStanding } from "./analyses/probabilities.js";

export { circuitGraph, edgeNames, edgesNamed, groupedScores, nodeNames, type CircuitGraph } from "./analyses/circuits/graph.js";
export { edgeScores, type EdgeScoreRequest, type EdgeScores } from "./analyses/circuits/edge-scores.js";
export { largestEdges, type EdgeFinding } from "./analyses/circuits/edge-findings.js";
export { runCircuits, type CircuitRunRequest, type CircuitRuns } from "./analyses/circuits/run-circuit.js";
export { circuitsBySize, MIB_SHARES, pruneCircuit, reachable, type PruneRequest } from "./analyses/circuits/prune.js";
export { faithfulnessCurve, type CurveRequest, type FaithfulnessCurve } from "./analyses/circuits/faithfulness.js";
export { circuitJson, readCircuitJson, type CircuitFile } from "./analyses/circuits/circuit-json.js";
export { attributionPatch, type Attribution, type AttributionRequest } from "./analyses/circuits/attribution.js";
export { attributeAttention, type AttentionRequest } from "./analyses/circuits/attention.js";
export { gradDrop } from "./analyses/circuits/grad-drop.js";
export { compareScores, type ScoreAgreement } from "./analyses/circuits/compare.js";
export type { CircuitMetric, CircuitPair, Direction } from "./analyses/circuits/pairs.js";
export { learnSubspace } from "./analyses/subspaces/learn-subspace.js";
export type {
  InterchangePair,
  LearnedSubspace,
  Placebo,
  SubspaceMethod,
  SubspaceRequest,
  SubspaceResult,
  SubspaceSite,
} from "./analyses/subspaces/request.js";
export { integratedGradients, type IntegratedRequest, type IntegratedResult } from "./analyses/gradients/integrated.js";
export { gradientTimesActivation } from "./analyses/gradients/gradient-times-activation.js";
export { fitProbe } from "./analyses/probes/fit.js";
export { directionOf, probabilitiesWithProbe, scoreWithProbe, type DirectionChoice } from "./analyses/probes/apply.js";
export { fitSparseProbes, type SparseProbe, type SparseRequest, type SparseResult } from "./analyses/probes/sparse.js";
export { probeWithControls, type ControlledRequest, type ControlledResult, type LayerControls } from "./analyses/probes/controls.js";
export { splitByGroup, type ProbeSplit, type SplitRequest, type SplitShares } from "./analyses/probes/split.js";
export type { LayerProbe, Probe, ProbeKind, ProbeMethod, ProbeRequest, ProbeResult } from "./analyses/probes/request.js";

export { openWeights, type ModelWeights, type WeightOptions } from "./runtime/weights.js";
export { vectorLens, type ScoredToken, type VectorLensOptions, type VectorReading } from "./analyses/mechanism/vector-lens.js";
export {
  nearestUnits,
  randomTopCosines,
  type NearestUnitsRequest,
  type NearUnit,
  type RandomCosinesRequest,
  type UnitPlace,
} from "./analyses/mechanism/nearest-units.js";
export {
  headsAbove,
  mentions,
  targetAttention,
  type AttentionCase,
  type Density,
  type HeadDensity,
  type TargetAttention,
  type TargetAttentionOptions,
} from "./analyses/mechanism/target-attention.js";
export { channelScores, type ChannelRequest, type ChannelScore } from "./analyses/mechanism/channel-scores.js";
export {
  carry,
  checkEmb2Emb,
  fitEmb2Emb,
  type CarriedTokens,
  type Emb2Emb,
  type Emb2EmbCheck,
  type Emb2EmbOptions,
  type TokenPair,
} from "./analyses/mechanism/emb2emb.js";
export { collectAt, type CollectRequest, type Site } from "./analyses/collect.js";
export { continueSearches, type ContinuationRequest } from "./analyses/verification/continuation.js";
export { judgements, type Judgement, type JudgementRequest } from "./analyses/verification/judgements.js";
export { headsAsBefore, headsOff, unitsOff } from "./analyses/verification/switching-off.js";

// Studies and runs.
export { runStudy, type StepEvent, type StudyOptions, type StudyRequest } from "./studies/run-study.js";
export { verifyRun, type Verification, type VerifyRequest } from "./studies/verify-run.js";
export { STUDIES, studyNamed } from "./studies/studies.js";
export { meanFinding, numberFinding, shareFinding } from "./studies/finding-of.js";
export type { Step, StepContext, Study, Subject } from "./studies/study.js";
export { findTimeSteps, wordIds, type TimeStep, type WordIds } from "./studies/self-verification/time-steps.js";
export { formatNamed } from "./studies/self-verification/formats/table.js";
export { verdictsOf, type Verdict } from "./studies/self-verification/verdicts.js";
export type { Outcome, Prompt, VerificationFormat } from "./studies/self-verification/format.js";
export type { Control, Finding, FindingInterval, Published, Tolerance } from "./store/finding.js";
export { tableOf, type Column, type Table } from "./store/table.js";
export type { Earlier, Figure, StepOutput } from "./store/step-output.js";
export type { ModelRecord, RunManifest } from "./store/manifest.js";
export { readRun, type StoredRun } from "./store/stored-run.js";
export { readGenerations, type StoredStep } from "./store/step-folder.js";
export { checkFiles } from "./store/check-files.js";
export { compareRuns, type Comparison } from "./store/compare.js";
export { comparisonText } from "./store/comparison-text.js";
export { listRuns, type BrokenRun, type WholeRun } from "./store/list-runs.js";
export { queryRuns, type QueryAnswer } from "./store/query.js";
export { parquetBytes, readParquet } from "./formats/parquet.js";
export { readTorchFile } from "./formats/torch-file.js";
export { isGguf, readGgufHeader, type GgufHeader, type GgufTensor } from "./formats/gguf/header.js";
export { GgufWeights } from "./formats/gguf/weights.js";
export type { GgufMetadata, GgufValue } from "./formats/gguf/metadata.js";
export type { GgufType } from "./formats/gguf/block-types.js";
export { openModelCheckpoint } from "./runtime/gguf-model.js";
export { resolveModel } from "./formats/hub/resolve-model.js";
export { pullModel, type PlannedFile, type PullOptions, type PullPlan } from "./formats/hub/pull.js";
export { cachedModels, type CachedModel } from "./formats/hub/cache.js";
export type { HubOptions } from "./formats/hub/settings.js";

// Training.
export { planModel, type PlannedModel } from "./training/plan-spec.js";
export { initialise, type InitialOptions } from "./training/initialise.js";
export { openStep, type ModelStep, type PolicyColumns, type StepOptions } from "./training/step.js";
export type { Batch, Parameter, Parameters, StepResult, TrainStep } from "./training/step-types.js";
export type { LossSpec } from "./training/losses.js";
export { policyStep, type PolicyOptions, type Rollout } from "./training/policy-step.js";
export { rollOut, type RolloutOptions } from "./training/rollout.js";
export { makeAdamW, type AdamW, type AdamWOptions } from "./training/optimiser.js";
export { learningRateAt, type Schedule } from "./training/learning-rate.js";
export { batchesOf, generatedSource, holdOut, listSource, type Sample, type TokenSource } from "./training/token-source.js";
export { readSamples, type SampleOptions } from "./training/read-samples.js";
export { evaluateLoss } from "./training/evaluate.js";
export { train, type Evaluation, type Saving, type TrainEvent, type TrainOptions } from "./training/train.js";
export { writeModel, type ModelFiles } from "./training/checkpoint.js";
export type { EvaluationRecord, History, StepRecord } from "./training/history.js";

// Adapters.
export { adapterModules, type AdapterModule } from "./models/adapter-modules.js";
export { initialAdapter, withAdapters, type AdaptedModel, type AdapterOptions, type AdapterTensor } from "./models/lora.js";
export { adapterScale, openPeft, writePeft, type PeftConfig } from "./formats/peft.js";
export { mergeAdapter } from "./runtime/merge-adapter.js";
export { WeightFiles } from "./runtime/weight-files.js";

// CountDown, a task with a search that verifies itself.
export { distinctTasks, trainingRows } from "./tasks/countdown/rows.js";
export { reportTraces, type TraceReport } from "./tasks/countdown/report.js";
export { explainAttempts } from "./tasks/countdown/explain.js";
export { isHeldOut, makeTask, type Task, type TaskOptions } from "./tasks/countdown/task.js";
export { promptOf, writeSearch, type TraceOptions } from "./tasks/countdown/trace.js";
export { parseTrace, reward, type ParsedTrace } from "./tasks/countdown/parse.js";
export { rowAt, taskAt, type Row } from "./tasks/countdown/rows.js";
export { COUNTDOWN, type CountdownRecipe } from "./training/countdown/recipe.js";
export { trainCountdown, type CountdownOptions, type CountdownResult } from "./training/countdown/train-countdown.js";

// Statistics.
export { auroc, delong } from "./base/auroc.js";
export { calibrationOf, temperatureOf, type Calibration } from "./base/calibration.js";
export { wilson, type ShareInterval } from "./base/wilson.js";
export { bootstrapInterval, bootstrapIntervals, bootstrapRatioIntervals, type Interval } from "./base/bootstrap.js";
export { signFlipTest, signFlipTests } from "./base/sign-flip.js";
export { benjaminiHochberg } from "./base/multiple-testing.js";
export { pearson, spearman } from "./base/correlation.js";

// Charts.
export { barsSvg, type Bar, type BarsOptions } from "./charts/bars.js";
export { scatterSvg, type ScatterOptions, type ScatterPoint } from "./charts/scatter.js";
export { stackedSharesSvg, type SharesOptions, type SharesRow } from "./charts/stacked-shares.js";
export { curveSvg, type CurveSvgOptions } from "./charts/curve.js";
export type { CurveMark, CurveSeries } from "./charts/curves.js";
export { heatMapSvg } from "./charts/heat-map.js";
export { tokenMapSvg, type TokenCell, type TokenMapOptions } from "./charts/token-map.js";
export type { MapOptions, MapPanel } from "./charts/panels.js";
export { svgToPng, type PngOptions } from "./charts/png.js";
export { attentionPattern, type AttentionPatternOptions } from "./charts/attention-pattern.js";
