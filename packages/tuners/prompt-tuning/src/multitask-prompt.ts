/**
 * Multitask prompt tuning (Wang et al., 2023, arXiv:2303.02861): tasks share a prompt, and each scales it by a matrix of
 * low rank of its own,
 *
 *     P_k = E ∘ (C_k R_k),   E [n, d], C_k [n, r], R_k [r, d]
 */
import { type Context, type Embedding, type HostRandom, Module, normalArray, Parameter } from '@graftjs/nn';
import { newTable, PROMPT_KEY, type PromptEncoder, TaskIdsError } from '@graftjs/peft';
import { matmul, mul, type Tensor, take } from '@graftjs/tensor';

export interface MultitaskPromptOptions {
  readonly count: number;
  readonly width: number;
  readonly tasks: number;
  readonly rank: number;
}

/** The keys of the tasks' matrices in a file. */
export const COLS = 'prefix_task_cols';
export const ROWS = 'prefix_task_rows';

/** The parameters of a prompt for several tasks. */
export class MultitaskPrompt extends Module implements PromptEncoder {
  /** E */
  readonly embedding: Embedding;
  /** C `[tasks, n, r]` */
  readonly prefix_task_cols: Parameter;
  /** R `[tasks, r, d]` */
  readonly prefix_task_rows: Parameter;

  constructor({ count, width, tasks, rank }: MultitaskPromptOptions, random: HostRandom) {
    super();
    const matrices = (shape: readonly [number, number, number]): Parameter => {
      const size = shape[0] * shape[1] * shape[2];
      return new Parameter(shape, normalArray(size, 0.02, random));
    };
    this.embedding = newTable(count, width);
    this.prefix_task_cols = matrices([tasks, count, rank]);
    this.prefix_task_rows = matrices([tasks, rank, width]);
  }

  /** `[b, n, d]` by the context's `taskIds`; where there is one task and they are not given, `[1, n, d]`. */
  forward({ taskIds }: Context): Tensor {
    const [tasks] = this.prefix_task_cols.shape as [number];
    if (!taskIds && tasks > 1) throw new TaskIdsError(tasks);
    const [cols, rows] = [this.prefix_task_cols, this.prefix_task_rows].map((matrices) =>
      taskIds ? take(matrices, taskIds) : matrices,
    ) as [Tensor, Tensor];
    return mul(this.embedding.weight, matmul(cols, rows));
  }

  get saved(): Record<string, Tensor> {
    return {
      [COLS]: this.prefix_task_cols,
      [ROWS]: this.prefix_task_rows,
      [PROMPT_KEY]: this.embedding.weight,
    };
  }
}
