import { type Checkpoint, encodeSafetensors, openSafetensors, type TensorData } from '@graftjs/checkpoint';
import type { Runtime } from '@graftjs/compiler';
import type { DataCursor } from '@graftjs/data';
import type { HostArray, Variable } from '@graftjs/tensor';

/** What a checkpoint says of its run, as JSON in `trainer_state.json`. */
export interface RunState {
  readonly version: 1;
  /** Optimizer steps done. */
  readonly step: number;
  readonly cursor: DataCursor;
  readonly seed: number;
  /** Tokens seen so far. */
  readonly tokens: number;
  /** What must not change between the run and its continuation. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/** Variables as a safetensors file, bit for bit. */
export async function encodeVariables(
  runtime: Runtime,
  variables: ReadonlyMap<string, Variable>,
): Promise<Uint8Array> {
  const entries: [string, TensorData][] = [];
  for (const [name, variable] of variables) {
    const data = await runtime.read(variable);
    entries.push([
      name,
      { dtype: variable.dtype === 'f32' ? 'F32' : 'I32', shape: [...variable.shape], data: bytes(data) },
    ]);
  }
  return encodeSafetensors(new Map(entries), { format: 'pt' });
}

const bytes = (data: HostArray): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** Hands the tensors of a checkpoint's file to variables. */
export async function restoreVariables(
  checkpoint: Checkpoint,
  file: string,
  variables: ReadonlyMap<string, Variable>,
): Promise<void> {
  const weights = await openSafetensors(await checkpoint.open(file));
  for (const [name, variable] of variables) variable.set(Float32Array.from(await weights.readFloat32(name)));
}
