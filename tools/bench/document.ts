import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type Row, table } from './report.ts';

/** Under what figures were measured. */
export interface Conditions {
  readonly command: string;
  readonly date: string;
  readonly adapter: string;
  readonly processor: string;
  readonly node: string;
  /** Versions by name. */
  readonly peers: Readonly<Record<string, string>>;
  /** Processes that wanted to run in the minute before the first measurement. */
  readonly load: number;
}

export const processor = (): string =>
  `${cpus().length} cores of ${cpus()[0]?.model.trim() ?? 'a processor'}`;
export const load = (): number => loadavg()[0]!;

const sections: Readonly<Record<string, readonly [title: string, text: string]>> = {
  matmul: [
    'Matrix products',
    `\`[m, k] x [k, n]\`; \`x Wᵀ\` is \`nt\`, its gradients \`nn\` and \`tn\`. Figures of other libraries are GFLOP/s. Graft's
results are checked against float64, the others' against Graft's, within 10⁻⁵ of the largest element.`,
  ],
  attention: [
    'Attention',
    'Causal, 8 heads of 32 on 4 of keys, one sequence: the kernel, which stores no scores, beside its decomposition.',
  ],
  'lora-step': [
    'A LoRA step',
    `Llama models, rank 8 on every linear layer: the batch is handed over, then forward, backward and AdamW, and the loss is
read. Figures of other libraries are milliseconds of the same step from the same weights; five losses in a row agree
within 10⁻⁴ relative. In jax-js the step is one \`jit\` with \`nn.dotProductAttention\`; in tfjs it is \`optimizer.minimize\` with
\`tf.train.adam\`. "First step" has the kernels in the driver's disk cache; with an empty cache it takes 10 to 25 s on a CPU
adapter. "Peak" is what the device has allocated, "weights" what base and adapter are of it.`,
  ],
  replay: [
    'Replay',
    `Processor time for a LoRA step that is compiled, Dawn's own and that of the garbage collector included: on Dawn's null
backend, which takes and checks commands and executes none. Its plans have a few dispatches more, since it offers no
subgroups.`,
  ],
  bundle: [
    'In a page',
    'Engine, LoRA, Llama, AdamW and the reading of model folders, bundled and minified; the tokenizer is not in it.',
  ],
};

const [begin, end] = ['<!-- figures: begin -->', '<!-- figures: end -->'];
const file = fileURLToPath(new URL('../../docs/benchmarks.md', import.meta.url));

/** Replaces the figures in docs/benchmarks.md; what stands outside of their marks stays. */
export function writeDocument(rows: readonly Row[], conditions: Conditions): void {
  const text = readFileSync(file, 'utf8');
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from)
    throw new Error(`${file} needs the lines ${begin} and ${end} around its figures`);
  writeFileSync(file, `${text.slice(0, from)}${begin}\n\n${figures(rows, conditions)}\n\n${text.slice(to)}`);
}

function figures(rows: readonly Row[], conditions: Conditions): string {
  const { command, date, adapter, processor, node, load } = conditions;
  const peers = Object.entries(conditions.peers).map(([name, version]) => `${name} ${version}`);
  const parts = [
    `All from one run of \`${command}\` on ${date}: ${adapter}, ${processor}, Node ${node.slice(1)}. Medians of rounds in
which all that is compared takes its turn; ratios are the medians of the rounds' ratios. Figures of a run on another
machine, or beside other work, differ by a factor of two and more: compare within a run.`,
  ];
  if (load > cpus().length / 2)
    parts.push(`**The machine was shared**: ${load.toFixed(1)} programs wanted its ${cpus().length} cores when the run began. Times are upper
bounds; ratios hold better, since all took turns.`);
  if (peers.length > 0)
    parts.push(`Beside Graft, on the same Dawn and adapter, each in a process of its own and waiting as Graft waits: ${peers.join(', ')}
(\`@tensorflow/tfjs-backend-webgpu\` and \`@jax-js/jax\` of npm).`);
  for (const group of new Set(rows.map((row) => row.group))) {
    const [title, text] = sections[group]!;
    parts.push(`## ${title}`, text, table(rows.filter((row) => row.group === group)));
  }
  return parts.join('\n\n');
}
