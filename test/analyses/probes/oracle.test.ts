/** @file Fits held against scikit-learn and numpy, on examples that a formula makes: wide ones (the dual forms) and tall ones. */
import { describe, expect, test } from "vitest";
import { fitProbe } from "../../../src/analyses/probes/fit.js";
import type { LayerProbe, ProbeMethod } from "../../../src/analyses/probes/request.js";
import { tensor } from "../../../src/base/tensor.js";

/*
 * numpy 2.4.6, scikit-learn 1.9.1: y = (arange(n) * 7) % classes
 * x = float32(sin(1.3 i + 2.1 j² + 0.7 i j) + 0.4 cos(j + 2 y[i])), i = arange(n)[:, None], j = arange(d)
 * LogisticRegression(C=1 / (n * 0.05), tol=1e-14); Ridge(alpha=n * 0.05) on one-hot targets;
 * LDA: numpy.linalg.solve(0.7 S + 0.3 tr(S)/d I, class means − their mean), which without shrinkage gave the predict_proba of
 * LinearDiscriminantAnalysis(solver="lsqr"); ledoit_wolf(z, assume_centered=True).
 */
function fitted(size: readonly [n: number, d: number], classes: number, method: ProbeMethod, standardise = false): LayerProbe {
  const [n, d] = size;
  const labels = Array.from({ length: n + 6 }, (_, i) => (i * 7) % classes);
  const data = Float32Array.from({ length: labels.length * d }, (_, at) => {
    const [i, j] = [Math.floor(at / d), at % d];
    return Math.sin(1.3 * i + 2.1 * j * j + 0.7 * i * j) + 0.4 * Math.cos(j + 2 * labels[i]!);
  });
  const all = labels.map((_, i) => i);
  const split = { train: all.slice(0, n), validation: [], test: all.slice(n) };
  const { layers } = fitProbe({ examples: tensor(data, [labels.length, d]), labels, split, method, seed: 1, standardise });
  return layers[0]!;
}

/** The first weights of each class, and the biases. */
function startOf({ probe }: LayerProbe, count: number): { weights: number[][]; bias: number[] } {
  const [classes = 0, width = 0] = probe.weights.shape;
  const weights = Array.from({ length: classes }, (_, c) => [...probe.weights.data.subarray(c * width, c * width + count)]);
  return { weights, bias: [...probe.bias.data] };
}

/** Weights come back in float32: 6 digits. */
function expectClose(found: { weights: number[][]; bias: number[] }, weights: number[][], bias: number[]): void {
  const pairs = [
    ...weights.flat().map((value, i) => [found.weights.flat()[i]!, value]),
    ...bias.map((value, i) => [found.bias[i]!, value]),
  ];
  for (const [ours, theirs] of pairs) expect(Math.abs(ours! - theirs!)).toBeLessThan(2e-6 * Math.max(1, Math.abs(theirs!)));
}

describe.each([
  {
    size: [30, 4] as const,
    logistic: [[-0.6897214686929046, -0.9050933728026562, -0.14928563258994856, 0.3976813838653955], 0.04013373685101095] as const,
    softmax: [
      [0.4691906113765189, 1.1692646897917498, -0.29911820688458535],
      [-0.26814236021060206, -0.17763543087186756, -0.29402687510001524],
      [-0.20104825116591685, -0.991629258919882, 0.5931450819846007],
    ],
    softmaxBias: [-0.24310546155811633, 0.2661843611699354, -0.023078899611818828],
    ridge: [
      [0.09135791784897146, 0.35821626232072357, -0.057033404648509825],
      [-0.07561944523194983, -0.07272327513038548, -0.1278391869783223],
      [-0.015738472617021645, -0.28549298719033805, 0.18487259162683206],
    ],
    ridgeBias: [0.3350436947779265, 0.3302058331066063, 0.3347504721154672],
    lda: [
      [0.7147684471129625, 2.6590334117421337, -0.6474687168788469],
      [-0.3489654112519305, -0.5375742154458952, -0.3979731259713939],
      [-0.36580303586103197, -2.121459196296238, 1.0454418428502408],
    ],
    ldaBias: [-2.505634898648947, -1.2619601049713824, -2.0453036669776665],
    ledoitWolf: 1,
  },
  {
    size: [12, 20] as const,
    logistic: [[-0.2436099414296956, -0.7254858150306509, 0.06691442972039227, -0.5736242521795193], 0.5669340527130267] as const,
    softmax: [
      [0.14532933838650128, 0.7688350803212878, -0.041929053229280054],
      [0.048543152471052765, -0.649349966427609, -0.2733266368457922],
      [-0.1938724908575538, -0.11948511389367909, 0.3152556900750723],
    ],
    softmaxBias: [-0.20629527247011012, 0.3842488463992316, -0.17795357392912045],
    ridge: [
      [0.04737989984087654, 0.21378610317710176, -0.031745353282871897],
      [0.026519611005396945, -0.17421569758224323, -0.03764271082297856],
      [-0.07389951084627346, -0.039570405594858554, 0.06938806410585048],
    ],
    ridgeBias: [0.284775284966921, 0.4337099217147016, 0.2815147933183773],
    lda: [
      [3.427809531150581, 12.138341894428924, -2.4751378579427668],
      [0.1877278133927694, -6.370964220835349, -1.0983787630216217],
      [-3.6155373445433505, -5.767377673593575, 3.5735166209643894],
    ],
    ldaBias: [-22.87126408930315, -7.2836332499078535, -17.4588140368452],
    ledoitWolf: 0.7707686438950361,
  },
])("$size", (known) => {
  test("logistic probes are scikit-learn's, with the weights halved between the classes", () => {
    const found = startOf(fitted(known.size, 2, { kind: "logistic", l2: 0.05 }), 4);
    const [weights, bias] = known.logistic;
    expectClose(found, [weights.map((w) => -w / 2), weights.map((w) => w / 2)], [-bias / 2, bias / 2]);
  });

  test("softmax probes are scikit-learn's", () => {
    const found = startOf(fitted(known.size, 3, { kind: "softmax", l2: 0.05 }), 3);
    // Only differences of biases are determined; scikit-learn's sum to 0 as ours do, since both start at 0.
    expectClose(found, known.softmax, known.softmaxBias);
  });

  test("ridge probes are scikit-learn's", () => {
    expectClose(startOf(fitted(known.size, 3, { kind: "ridge", l2: 0.05 }), 3), known.ridge, known.ridgeBias);
  });

  test("discriminants are numpy's, and Ledoit and Wolf's shrinkage is scikit-learn's", () => {
    expectClose(startOf(fitted(known.size, 3, { kind: "lda", shrinkage: 0.3 }), 3), known.lda, known.ldaBias);
    expect(fitted(known.size, 3, { kind: "lda" }).strength).toBeCloseTo(known.ledoitWolf, 6);
  });
});

test("two classes by softmax with half the l2 have the scores of the logistic probe", () => {
  const logistic = startOf(fitted([30, 4], 2, { kind: "logistic", l2: 0.05 }), 4);
  const softmax = startOf(fitted([30, 4], 2, { kind: "softmax", l2: 0.1 }), 4);
  expectClose(softmax, logistic.weights, logistic.bias);
});

test("discriminants ask for no units: with no shrinkage, standardising changes nothing", () => {
  const [plain, scaled] = [false, true].map((is) => startOf(fitted([30, 4], 3, { kind: "lda", shrinkage: 0 }, is), 4));
  expectClose(plain!, scaled!.weights, scaled!.bias);
});
