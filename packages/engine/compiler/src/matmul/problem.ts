import type { DType, ElementReader } from '@graftjs/tensor';

export type MatmulDType = 'f32' | 'f16' | 'bf16';

/** How the elements of an operand without memory are read out of the bindings that stand for it. */
export interface OperandReader {
  readonly reader: ElementReader;
  /** What is bound. The first is `a` or `b`, the others follow the epilogue's bindings: those of A, then of B. */
  readonly inputs: readonly DType[];
}

/**
 * An operand read in place: element (z0, z1, row, column) lies at
 * `offset + z0 * batch[0] + z1 * batch[1] + row * rowStride + column * colStride`, counted in elements.
 * A batch stride of 0 repeats the operand (grouped queries share keys and values).
 */
export interface MatmulOperand {
  /** How elements lie in memory; they are multiplied and summed in f32. */
  readonly dtype: MatmulDType;
  /** Where the operand has no memory; `dtype` is f32 then. */
  readonly reader?: OperandReader;
  readonly offset: number;
  readonly batch: readonly [number, number];
  readonly rowStride: number;
  readonly colStride: number;
}

/**
 * Where results lie, in an order of its own: element (row, column) at `(row / row.split) * row.high + (row % row.split) *
 * row.low`, and so on for its column; so heads are split as they are stored. Columns come in fours.
 */
export interface ResultPlace {
  readonly row: { readonly split: number; readonly high: number; readonly low: number };
  readonly column: { readonly split: number; readonly high: number; readonly low: number };
}

/** Whether a place keeps four neighbouring columns together, at a multiple of four. */
export const keepsFours = ({ row, column }: ResultPlace): boolean =>
  column.low === 1 && [column.split, column.high, row.high, row.low].every((v) => v % 4 === 0);

/** `c[z0, z1, m, n] = sum over k of a[z0, z1, m, k] * b[z0, z1, k, n]`; the result is contiguous. */
export interface MatmulProblem {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Extents of z0 and z1; `[1, 1]` where the product is not batched. */
  readonly batch: readonly [number, number];
  readonly a: MatmulOperand;
  readonly b: MatmulOperand;
  /** How results are stored; 16-bit ones only where n is a multiple of 4. */
  readonly c: MatmulDType;
  /** Left out: rows after one another. Needs one slice, n a multiple of 4, and a place that {@link keepsFours}. */
  readonly place?: ResultPlace;
}

/**
 * What happens to each result before it is stored. The kernels own the names `a`, `b`, `c`, `main` and those
 * that begin with `mm`; everything else at module scope is the epilogue's.
 */
export interface MatmulEpilogue {
  /** Declarations of the extra bindings, from binding 3 on, and helper functions. */
  readonly declarations: string;
  readonly extraBindings: number;
  /** 16-bit dtypes that it loads: the kernel declares their functions. */
  readonly dtypes: readonly MatmulDType[];
  /**
   * `fn epilogue4(value: vec4<f32>, index: u32) -> vec4<f32>` and `fn epilogue1(value: f32, index: u32) -> f32`.
   * `index` counts elements of the product, row by row; that of `epilogue4` is a multiple of 4 and the four lie in one row.
   */
  readonly functions: string;
}

/** One dispatch: text, uniform block and grid. */
export interface MatmulDispatch {
  readonly label: string;
  readonly wgsl: string;
  readonly params: Uint32Array<ArrayBuffer>;
  readonly workgroups: readonly [number, number, number];
  readonly flops: number;
}

/**
 * The product's dispatch: bindings `a`, `b`, `c`, the epilogue's extras, the uniform block; all storage is
 * read_write; what readers need besides comes before the uniform block. Where K is split, `c` of this dispatch is the scratch and `splitK.reduce` must follow it.
 */
export interface MatmulKernel extends MatmulDispatch {
  readonly splitK?: {
    readonly parts: number;
    /** f32 elements of scratch. */
    readonly scratch: number;
    /** Bindings: scratch, `c`, the epilogue's extras (from 2 on), the uniform block. */
    readonly reduce: MatmulDispatch;
  };
}

export const batchSize = (problem: MatmulProblem): number => problem.batch[0] * problem.batch[1];
