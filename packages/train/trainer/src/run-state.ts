import {
  type Checkpoint,
  checkShapes,
  encodeSafetensors,
  openSafetensors,
  type TensorData,
} from '@graftjs/checkpoint';
import type { Runtime } from '@graftjs/compiler';
import type { DataCursor } from '@graftjs/data';
import { type DType, type HostArray, hostView, type Variable } from '@graftjs/tensor';

/** A step and its held-out loss. */
export interface BestStep {
  readonly step: number;
  readonly loss: number;
}

/** What a checkpoint says of its run, as JSON in `trainer_state.json`. */
export interface RunState {
  readonly version: 1;
  /** Optimizer steps done. */
  readonly step: number;
  readonly cursor: DataCursor;
  readonly seed: number;
  /** Tokens seen so far. */
  readonly tokens: number;
  /** The lowest held-out loss so far, where its checkpoint is kept. */
  readonly best?: BestStep;
  /** What must not change between the run and its continuation. */
  readonly settings: Readonly<Record<string, unknown>>;
}

interface VariableValue {
  readonly variable: Variable;
  readonly data: HostArray;
}

/** The values of variables as the device has them now. */
export async function readVariables(
  runtime: Runtime,
  variables: ReadonlyMap<string, Variable>,
): Promise<Map<string, VariableValue>> {
  const values = new Map<string, VariableValue>();
  for (const [name, variable] of variables)
    values.set(name, { variable, data: await runtime.read(variable) });
  return values;
}

/** Values as a safetensors file, bit for bit. */
export function encodeVariables(values: ReadonlyMap<string, VariableValue>): Uint8Array {
  const entries = [...values].map(([name, { variable, data }]): [string, TensorData] => [
    name,
    { dtype: safetensorsDtype(variable), shape: [...variable.shape], data: bytes(data) },
  ]);
  return encodeSafetensors(new Map(entries), { format: 'pt' });
}

const safetensorsDtype = (variable: Variable): 'F32' | 'I32' | 'U32' => {
  const names: Partial<Record<DType, 'F32' | 'I32' | 'U32'>> = { f32: 'F32', i32: 'I32', u32: 'U32' };
  const name = names[variable.dtype];
  if (!name) throw new TypeError(`${variable.name}: ${variable.dtype} cannot be saved in a checkpoint`);
  return name;
};

const bytes = (data: HostArray): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/**
 * Hands the tensors of a checkpoint's file to variables, bit for bit.
 * @throws TensorMissingError, ShapeMismatchError where the file is of other variables; nothing is handed in then
 */
export async function restoreVariables(
  checkpoint: Checkpoint,
  file: string,
  variables: ReadonlyMap<string, Variable>,
): Promise<void> {
  const values = await savedValues(checkpoint, file, variables);
  for (const [name, variable] of variables) variable.set(values.get(name)!);
}

/**
 * The values of variables that a file of a checkpoint has under their names.
 * @throws TensorMissingError, ShapeMismatchError
 */
export async function savedValues(
  checkpoint: Checkpoint,
  file: string,
  variables: ReadonlyMap<string, Variable>,
): Promise<Map<string, HostArray>> {
  const weights = await openSafetensors(await checkpoint.open(file));
  checkShapes(
    weights,
    [...variables].map(([name, variable]) => [name, variable.shape] as const),
  );
  const values = new Map<string, HostArray>();
  for (const [name, { dtype }] of variables)
    values.set(name, hostView(dtype, (await weights.read(name)).slice().buffer));
  return values;
}
