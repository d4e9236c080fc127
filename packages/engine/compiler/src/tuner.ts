import type { KernelChoices } from '@graftjs/tensor';
import type { Gpu } from '@graftjs/webgpu';
import {
  choiceLabel,
  MATMUL,
  type MatmulConfig,
  type MatmulProblem,
  matmulConfigs,
  matmulKernel,
} from './matmul/index.ts';
import { timeConfigs } from './matmul/time-configs.ts';

/** What was measured of one class of problems. */
export interface MeasuredChoice {
  readonly family: string;
  readonly problemClass: string;
  /** Label of the configuration to take. */
  readonly config: string;
  /** Label of the one that is taken without measuring. */
  readonly default: string;
  /** How many times faster than the default. */
  readonly gain: number;
  /** Milliseconds of each configuration that was tried. */
  readonly milliseconds: Readonly<Record<string, number>>;
}

/** Choices as they are kept: plain JSON. */
export interface TuningRecord {
  readonly adapter: string;
  /** Changes with the kernels' texts. */
  readonly kernels: string;
  readonly choices: readonly MeasuredChoice[];
}

export interface TunerOptions {
  /** What was measured before; passed over where it is of another adapter or of other kernels. */
  readonly record?: TuningRecord | undefined;
  /** Milliseconds that measuring may take in all, compiling included. Default 20,000; 0 only uses the record. */
  readonly budget?: number;
  /** Rounds in which the configurations take turns. Default 5. */
  readonly rounds?: number;
  /** Told of each class that was measured. */
  readonly onMeasured?: (choice: MeasuredChoice) => void;
}

/** Configurations of a class that are tried, the default included. */
const MOST_CANDIDATES = 6;
/** A faster configuration is taken from this gain on: less may be noise. */
const LEAST_GAIN = 1.05;

/**
 * Measures which configurations of kernels are the fastest on a device, once for each class of problems (accesses, element
 * types, extents up to powers of two). Give it to a runtime: programs then compile with what was measured. Configurations
 * add in different orders, so results differ in their last bits from those without a tuner; with the same record and no
 * budget they are the same every time.
 */
export class Tuner implements KernelChoices {
  readonly #gpu: Gpu;
  readonly #rounds: number;
  readonly #onMeasured: ((choice: MeasuredChoice) => void) | undefined;
  readonly #choices = new Map<string, MeasuredChoice>();
  readonly #wanted = new Map<string, MatmulProblem>();
  readonly #kernels: string;
  #budget: number;

  constructor(gpu: Gpu, { record, budget = 20_000, rounds = 5, onMeasured }: TunerOptions = {}) {
    this.#gpu = gpu;
    this.#budget = budget;
    this.#rounds = rounds;
    this.#onMeasured = onMeasured;
    this.#kernels = kernelsVersion(gpu);
    if (record?.adapter === gpu.traits.description && record.kernels === this.#kernels)
      for (const choice of record.choices) this.#choices.set(choice.problemClass, choice);
  }

  /** Milliseconds that measuring may still take. */
  get budget(): number {
    return this.#budget;
  }

  choose(family: string, problemClass: string, problem: object): string | undefined {
    if (family !== MATMUL) return undefined;
    const known = this.#choices.get(problemClass);
    if (!known) this.#wanted.set(problemClass, problem as MatmulProblem);
    return known?.config;
  }

  /** Measures the classes that were asked for and are not known, as far as the budget goes; whether any was. */
  async measure(): Promise<boolean> {
    const start = performance.now();
    const deadline = start + this.#budget;
    let measured = false;
    for (const [problemClass, problem] of this.#wanted) {
      if (performance.now() >= deadline) break;
      const choice = await this.#measureClass(problemClass, problem, deadline);
      this.#choices.set(problemClass, choice);
      this.#onMeasured?.(choice);
      measured = true;
    }
    this.#wanted.clear();
    this.#budget = Math.max(0, this.#budget - (performance.now() - start));
    return measured;
  }

  toRecord(): TuningRecord {
    return {
      adapter: this.#gpu.traits.description,
      kernels: this.#kernels,
      choices: [...this.#choices.values()],
    };
  }

  async #measureClass(
    problemClass: string,
    problem: MatmulProblem,
    deadline: number,
  ): Promise<MeasuredChoice> {
    const configs = candidatesOf(problem, this.#gpu);
    const options = { rounds: this.#rounds, roundMilliseconds: 10, configs, deadline };
    const timings = await timeConfigs(this.#gpu, problem, options);
    const [first] = timings;
    const usual = choiceLabel(configs[0]!);
    const fastest = timings.reduce(
      (best, t) => (best && best.milliseconds <= t.milliseconds ? best : t),
      first,
    );
    const gain = first && fastest ? first.milliseconds / fastest.milliseconds : 1;
    const faster = fastest !== undefined && gain >= LEAST_GAIN;
    return {
      family: MATMUL,
      problemClass,
      config: faster ? fastest.label : usual,
      default: usual,
      gain: faster ? gain : 1,
      milliseconds: Object.fromEntries(timings.map(({ label, milliseconds }) => [label, milliseconds])),
    };
  }
}

/** The default, and others of the family that suits the kind of device. */
function candidatesOf(problem: MatmulProblem, gpu: Gpu): MatmulConfig[] {
  const [usual, ...others] = matmulConfigs(problem, gpu.traits) as [MatmulConfig, ...MatmulConfig[]];
  const onCpu = gpu.traits.isCpu && gpu.traits.subgroupSize >= 4;
  const suits = ({ family }: MatmulConfig): boolean =>
    onCpu ? family === 'subgroup' || family === 'thin' : family === 'tile';
  return [usual, ...others.filter(suits)].slice(0, MOST_CANDIDATES);
}

/** A hash of the texts of all configurations for two products: a record of other kernels does not count. */
function kernelsVersion(gpu: Gpu): string {
  const operand = { dtype: 'f32', offset: 0, batch: [0, 0], rowStride: 64, colStride: 1 } as const;
  let hash = 0x811c9dc5;
  for (const k of [64, 8]) {
    const problem = { m: 64, k, n: 64, batch: [1, 1], a: operand, b: operand, c: 'f32' } as const;
    for (const config of matmulConfigs(problem, gpu.traits))
      for (const letter of matmulKernel(problem, gpu.traits, { config }).wgsl)
        hash = Math.imul(hash ^ letter.codePointAt(0)!, 0x01000193) >>> 0; // FNV-1a
  }
  return hash.toString(16);
}
