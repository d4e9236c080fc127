import type { KernelTraits } from '@graftjs/tensor';
import { accessOf, linesOf } from './access.ts';
import type { Form } from './frame.ts';
import { PLAIN_EXTENTS, plainForm } from './plain.ts';
import { batchSize, type MatmulProblem } from './problem.ts';
import { type SubgroupTile, subgroupExtents, subgroupForm } from './subgroup.ts';
import { LONGEST_THIN, type ThinTile, thinExtents, thinForm } from './thin.ts';
import { type SharedTile, tileInvocations, tileStorageBytes } from './tile.ts';

interface SplitK {
  /** Parts that the inner axis is cut into; 1 leaves it whole. */
  readonly parts: number;
}

/** Which kernel family computes a product, and its tile. */
export type MatmulConfig =
  | (SplitK & SubgroupTile & { readonly family: 'subgroup'; readonly size: number })
  | (SplitK & ThinTile & { readonly family: 'thin'; readonly size: number })
  | (SplitK & SharedTile & { readonly family: 'tile' })
  | (SplitK & { readonly family: 'plain' });

const TILES: readonly SharedTile[] = [
  { rows: 64, columns: 64, inner: 16, threadRows: 8, threadColumns: 8 },
  { rows: 64, columns: 64, inner: 32, threadRows: 4, threadColumns: 4 },
  { rows: 32, columns: 32, inner: 16, threadRows: 4, threadColumns: 4 },
  { rows: 8, columns: 128, inner: 16, threadRows: 4, threadColumns: 4 },
  { rows: 128, columns: 8, inner: 16, threadRows: 4, threadColumns: 4 },
];

/** Rows and columns of the result that a workgroup computes. */
export function configExtents(config: MatmulConfig): { readonly rows: number; readonly columns: number } {
  if (config.family === 'subgroup') return subgroupExtents(config, config.size);
  if (config.family === 'thin') return thinExtents(config.size);
  return config.family === 'tile' ? config : PLAIN_EXTENTS;
}

/** How the configuration's kernel reads and writes this problem. */
export function configForm(problem: MatmulProblem, config: MatmulConfig): Form {
  const { a, b, c } = problem;
  const form: Form = {
    a: accessOf(linesOf(problem, 'a')),
    b: accessOf(linesOf(problem, 'b')),
    vectorStore: problem.n % 4 === 0,
    placed: problem.place !== undefined && config.parts === 1,
    dtypes: { a: a.dtype, b: b.dtype, c: config.parts === 1 ? c : 'f32' },
    readers: { a: a.reader, b: b.reader },
  };
  if (config.family === 'subgroup') return subgroupForm(form, config, config.size);
  if (config.family === 'thin') return thinForm(form);
  return config.family === 'plain' ? plainForm(form) : form;
}

/**
 * Every configuration that may compute the problem on such a device. The first is the default choice, or what was
 * measured to be faster; the others are what a tuner may try.
 */
export function matmulConfigs(problem: MatmulProblem, traits: KernelTraits): MatmulConfig[] {
  const all = [
    ...subgroupConfigs(traits),
    ...thinConfigs(problem, traits),
    ...tileConfigs(traits),
    { family: 'plain', parts: 1 } as const,
  ];
  const first = defaultConfig(problem, traits, all);
  const configs = [first, ...all.filter((config) => config !== first)].flatMap((config) => {
    const split = withParts(problem, config, traits);
    return split.parts === 1 ? [config] : config === first ? [split, config] : [config, split];
  });
  // operands without memory are not measured
  const inMemory = !problem.a.reader && !problem.b.reader;
  const wanted = inMemory ? traits.measured?.choose(MATMUL, problemClass(problem), problem) : undefined;
  const fastest = wanted === undefined ? undefined : configs.find((c) => choiceLabel(c) === wanted);
  return fastest ? [fastest, ...configs.filter((config) => config !== fastest)] : configs;
}

/** The name of this kernel family among those that are measured. */
export const MATMUL = 'matmul';

/** How a configuration is named where one is chosen for a class of problems, whose sums may differ in length. */
export const choiceLabel = (config: MatmulConfig): string =>
  config.parts > 1 ? `${configLabel(config)} in parts` : configLabel(config);

/** From this extent on, and for batches this large, one configuration is as good as for larger ones. */
const LARGE = 1024;

/** Problems of a class have the same accesses and element types, and extents up to the same powers of two. */
export function problemClass(problem: MatmulProblem): string {
  const { a, b, c, m, k, n } = problem;
  const operand = (side: 'a' | 'b', dtype: string): string => `${accessOf(linesOf(problem, side))} ${dtype}`;
  const extents = [m, k, n, batchSize(problem)].map((extent) =>
    Math.min(LARGE, 2 ** Math.ceil(Math.log2(extent))),
  );
  return `${operand('a', a.dtype)} x ${operand('b', b.dtype)} -> ${c}, ${extents.join('x')}`;
}

export function configLabel(config: MatmulConfig): string {
  switch (config.family) {
    case 'subgroup':
      return `subgroup${config.size}.${config.lanes}${config.across}${config.step === 1 ? '' : `x${config.step}`}`;
    case 'thin':
      return `thin${config.size}.${config.inner}`;
    case 'tile':
      return `tile${config.rows}x${config.columns}x${config.inner}.${config.threadRows}x${config.threadColumns}`;
    case 'plain':
      return 'plain';
    default:
      return config satisfies never;
  }
}

/**
 * Broadcast lines of a subgroup's tile. On llvmpipe 8 reach 0.7 and 16 reach 0.85 of the rate of 32
 * (compare-configs.node.ts, 2026-11-24); 48 and 64 were slower but for products along lines.
 */
const ACROSS = [32, 16, 8] as const;

const runsSubgroups = ({ subgroupSize, maxInvocations }: KernelTraits): boolean =>
  subgroupSize >= 4 && subgroupSize <= Math.min(64, maxInvocations);

function thinConfigs({ k, a, b }: MatmulProblem, traits: KernelTraits): MatmulConfig[] {
  if (!runsSubgroups(traits) || k > LONGEST_THIN || a.reader || b.reader) return [];
  return [{ family: 'thin', inner: Math.ceil(k / 4) * 4, size: traits.subgroupSize, parts: 1 }];
}

function subgroupConfigs(traits: KernelTraits): MatmulConfig[] {
  if (!runsSubgroups(traits)) return [];
  const size = traits.subgroupSize;
  return ([1, 4] as const).flatMap((step) =>
    (['columns', 'rows'] as const).flatMap((lanes) =>
      ACROSS.map((across) => ({ family: 'subgroup', lanes, across, step, size, parts: 1 }) as const),
    ),
  );
}

const tileConfigs = (traits: KernelTraits): MatmulConfig[] =>
  TILES.filter(
    (tile) =>
      tileInvocations(tile) <= traits.maxInvocations && tileStorageBytes(tile) <= traits.maxWorkgroupStorage,
  ).map((tile) => ({ family: 'tile', ...tile, parts: 1 }));

function defaultConfig(problem: MatmulProblem, traits: KernelTraits, all: MatmulConfig[]): MatmulConfig {
  const { m, n } = problem;
  const find = (wanted: (config: MatmulConfig) => boolean): MatmulConfig =>
    all.find(wanted) ?? all.find((config) => config.family === 'plain')!;
  if (traits.isCpu) {
    const width = 4 * traits.subgroupSize;
    const thin = all.find((config) => config.family === 'thin');
    if (thin && n >= width) return thin;
    // The broadcast operand's lines are the short side, so that no lane is idle.
    const bothInner = (['a', 'b'] as const).every((x) => accessOf(linesOf(problem, x)) === 'inner4');
    const lanes = (n < width && n < m) || (bothInner && m >= width) ? 'rows' : 'columns';
    const short = lanes === 'rows' ? n : m;
    const across = [8, 16].find((lines) => short <= lines) ?? 32;
    const step = (bothInner && across === 8) || problem.a.reader || problem.b.reader ? 4 : 1;
    return find(
      (c) => c.family === 'subgroup' && c.lanes === lanes && c.across === across && c.step === step,
    );
  }
  const fits = (config: MatmulConfig, rows: number, columns: number): boolean =>
    config.family === 'tile' && config.rows === rows && config.columns === columns;
  if (m <= 8) return find((c) => fits(c, 8, 128));
  if (n <= 8) return find((c) => fits(c, 128, 8));
  const large = Math.ceil(m / 64) * Math.ceil(n / 64) * batchSize(problem) >= 128;
  return find((c) => (large ? fits(c, 64, 64) : fits(c, 32, 32)));
}

/** The shortest part worth a dispatch's partial results. */
const SHORTEST_PART = 128;

/** Splits the inner axis where there are too few tiles to occupy the device and enough terms to share out. */
function withParts(problem: MatmulProblem, config: MatmulConfig, traits: KernelTraits): MatmulConfig {
  const { rows, columns } = configExtents(config);
  const tiles = Math.ceil(problem.m / rows) * Math.ceil(problem.n / columns) * batchSize(problem);
  const wanted = Math.ceil((traits.isCpu ? 8 : 128) / tiles);
  const parts = Math.min(wanted, Math.floor(problem.k / SHORTEST_PART), 64);
  return parts >= 2 ? { ...config, parts } : config;
}
