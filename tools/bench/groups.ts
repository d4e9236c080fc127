import { benchAttention } from './attention.ts';
import type { Bench } from './bench.ts';
import { benchBundle } from './bundle.ts';
import { benchLoraStep } from './lora-step.ts';
import { benchMatmul } from './matmul.ts';
import { benchReplay } from './replay.ts';
import type { Row } from './report.ts';

/** Measurements that are asked for by one name. */
export interface Group {
  readonly about: string;
  /** Run when no group is named. */
  readonly isDefault: boolean;
  readonly measure: (bench: Bench) => Promise<Row[]>;
}

export const groups: Readonly<Record<string, Group>> = {
  matmul: { about: 'matrix products of a small step', isDefault: true, measure: benchMatmul },
  attention: { about: 'attention forward and backward', isDefault: true, measure: benchAttention },
  'lora-step': { about: 'whole LoRA steps of small models', isDefault: true, measure: benchLoraStep },
  replay: { about: "JavaScript's part of a step", isDefault: true, measure: benchReplay },
  bundle: { about: 'bytes that a page loads', isDefault: true, measure: benchBundle },
};
