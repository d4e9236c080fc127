/**
 * EVA (Paischer et al., 2024, arXiv:2410.07170): A is the directions in which a layer's inputs vary most, B is 0, and
 * layers whose inputs vary in more directions get more of the ranks.
 */
import type { Runtime } from '@graftjs/compiler';
import type { LoraLayer } from '@graftjs/lora';
import type { CausalLM } from '@graftjs/models';
import type { PeftModel } from '@graftjs/peft';
import { ConfigError } from '@graftjs/peft';
import { cast } from '@graftjs/tensor';
import { Matrix } from 'ml-matrix';
import { IncrementalPca } from './incremental-pca.ts';
import { inputsOf, type TextBatch } from './layer-inputs.ts';

export interface EvaOptions {
  /** A layer has at most this many times its rank. */
  readonly rho: number;
  /** Components are found once those of one batch and the next are as near as this cosine. */
  readonly tau: number;
  /** Only tokens whose labels are learnt. */
  readonly useLabelMask: boolean;
  readonly labelMaskValue: number;
  /** Components are divided by the roots of their singular values. */
  readonly whiten: boolean;
}

/** One input that layers share. */
interface Watched {
  readonly layers: readonly LoraLayer[];
  readonly most: number;
  readonly pca: IncrementalPca;
  converged: boolean[];
  isDone: boolean;
}

/** Passes over the data after which it is taken for granted that the components will not converge. */
const maxPasses = 1000;

/** A of each layer, one row for each rank that it gets: none, where others need them more. */
export async function evaComponents(
  runtime: Runtime,
  peft: PeftModel<CausalLM>,
  layers: readonly LoraLayer[],
  batches: readonly TextBatch[],
  options: EvaOptions,
): Promise<Map<LoraLayer, readonly (readonly number[])[]>> {
  const watched = inputsOf(peft, layers, batches[0]!).map(({ layers: at }): Watched => {
    const most = Math.max(...at.map((layer) => rounded(layer.a.shape[0]! * options.rho)));
    const { base, path } = at[0]!;
    if (base.inFeatures < most)
      throw new ConfigError(
        'eva_config',
        { rho: options.rho },
        `asks the ${base.inFeatures} inputs of ${path} for ${most} components`,
      );
    return {
      layers: at,
      most,
      pca: new IncrementalPca(most),
      converged: Array<boolean>(most).fill(false),
      isDone: false,
    };
  });
  const budget = layers.reduce((sum, layer) => sum + layer.a.shape[0]!, 0);
  let ranks = new Map(watched.flatMap(({ layers: at, most }) => at.map((layer) => [layer, most] as const)));
  const needed = ({ layers: at }: Watched): number => ranks.get(at[0]!)!;
  for (let i = 0; ; i++) {
    for (const input of watched) {
      input.isDone = input.converged.slice(0, needed(input)).every(Boolean);
    }
    if (watched.every(({ isDone }) => isDone)) break;
    if (i >= maxPasses * batches.length)
      throw new ConfigError(
        'eva_config',
        { tau: options.tau },
        'components do not converge; give more or larger batches',
      );
    const batch = batches[i % batches.length]!;
    await watch(runtime, peft, watched, batch, options);
    if (watched.every(({ pca }) => pca.components.length > 0)) ranks = distribute(watched, layers, budget);
  }
  return new Map(
    watched.flatMap(({ layers: at, pca }) =>
      at.map(
        (layer) =>
          [
            layer,
            pca.components
              .slice(0, ranks.get(layer)!)
              .map((row, i) => whitened(row, pca.singular[i]!, options)),
          ] as const,
      ),
    ),
  );
}

const whitened = (row: readonly number[], singular: number, { whiten }: EvaOptions): readonly number[] =>
  whiten ? row.map((x) => x / Math.sqrt(singular)) : row;

/** Half to even, as in Python. */
const rounded = (x: number): number => (x % 1 === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));

async function watch(
  runtime: Runtime,
  peft: PeftModel<CausalLM>,
  watched: readonly Watched[],
  batch: TextBatch,
  { tau, useLabelMask, labelMaskValue }: EvaOptions,
): Promise<void> {
  const counted = [...batch.attentionMask.keys()].filter(
    (i) => batch.attentionMask[i] !== 0 && !(useLabelMask && batch.labels[i] === labelMaskValue),
  );
  const open = watched.filter(({ isDone, most }) => !isDone && counted.length >= most);
  const firsts = open.map(({ layers }) => layers[0]!);
  const inputs = inputsOf(peft, firsts, batch);
  const values = await runtime.evaluate(inputs.map(({ input }) => cast(input, 'f32')));
  for (const [n, { input, layers }] of inputs.entries()) {
    const width = input.shape[2]!;
    const rows = new Matrix(
      counted.map((i) => Array.from({ length: width }, (_, j) => values[n]![i * width + j]!)),
    );
    const own = open.find((one) => one.layers[0] === layers[0])!;
    const before = own.pca.components;
    own.pca.add(rows);
    if (before.length > 0) own.converged = own.pca.components.map((row, i) => cosine(row, before[i]!) >= tau);
  }
}

/** The ranks of all layers together go to those components that explain most of their layer's input. */
function distribute(
  watched: readonly Watched[],
  layers: readonly LoraLayer[],
  budget: number,
): Map<LoraLayer, number> {
  const first = watched.flatMap((one) => one.layers.slice(0, 1).map((layer) => ({ layer, one })));
  const others = watched.flatMap((one) => one.layers.slice(1).map((layer) => ({ layer, one })));
  const counts = new Map(layers.map((layer) => [layer, 0]));
  const parts = [...first, ...others].flatMap(({ layer, one }) =>
    one.pca.explained.slice(0, one.most).map((share) => ({ layer, share })),
  );
  for (const { layer } of parts.sort((a, b) => b.share - a.share).slice(0, budget))
    counts.set(layer, counts.get(layer)! + 1);
  for (const { layer, one } of others) {
    const [own, leader] = [counts.get(layer)!, one.layers[0]!];
    const theirs = counts.get(leader)!;
    if (theirs >= own) continue;
    counts.set(leader, own);
    counts.set(layer, theirs);
  }
  return counts;
}

function cosine(a: readonly number[], b: readonly number[]): number {
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    ab += a[i]! * b[i]!;
    aa += a[i]! ** 2;
    bb += b[i]! ** 2;
  }
  return ab / Math.sqrt(aa * bb);
}
