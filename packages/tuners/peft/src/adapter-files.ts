/** Adapters to files and from them: loaded where an adapter is saved or loaded. */
import {
  type Adapter,
  encodeAdapter,
  type Folder,
  readAdapter,
  type TensorData,
  writeAdapter,
} from '@graftjs/checkpoint';
import type { Runtime } from '@graftjs/compiler';
import { PEFT_VERSION } from './config.ts';
import type { Entry } from './entry.ts';
import type { Replacement } from './replacements.ts';
import { readParameters, writeParameters } from './state.ts';
import { fillCopies } from './trained-copies.ts';
import type { AdapterState, AdapterTensor, StateReport, Tuner } from './tuner.ts';

export { readAdapter };

/** The tensors of an adapter's file. */
export async function readState({ tensors }: Adapter): Promise<AdapterState> {
  const state = new Map<string, AdapterTensor>();
  for (const [key, { shape }] of tensors.tensors)
    state.set(key, { shape, data: await tensors.readFloat32(key) });
  return state;
}

/**
 * Values from a file for an adapter, the copies that it trains, and base weights that came along.
 * @throws AdapterStateError where a shape differs
 */
export async function fillEntry(
  runtime: Runtime,
  { attached, replacements }: Entry,
  state: AdapterState,
  where: string,
  /** Base weights that the names of a file mean. */
  baseWeightsOf: (names: readonly string[]) => Replacement[],
): Promise<StateReport> {
  const trained = new Map(replacements.map((r) => [r.key, r.copy]));
  const own = new Map([...state].filter(([key]) => !trained.has(key)));
  const ofAdapter = attached.fromStateDict(own);
  replacements.push(...baseWeightsOf(ofAdapter.unexpected));
  const copies = new Map(replacements.map((r) => [r.key, r.copy]));
  const ofCopies = writeParameters(where, copies, new Map([...state].filter(([key]) => copies.has(key))));
  if (ofCopies.missing.length)
    await fillCopies(
      runtime,
      replacements.filter((r) => ofCopies.missing.includes(r.key)),
    );
  return {
    missing: [...ofAdapter.missing, ...ofCopies.missing],
    unexpected: ofAdapter.unexpected.filter((key) => !copies.has(key)),
  };
}

/** An adapter's two files, before they are encoded. */
async function savedForm(
  runtime: Runtime,
  { tuner, attached, replacements }: Entry,
  baseModel: string | undefined,
): Promise<{
  config: ReturnType<Tuner['configToJson']>;
  tensors: Map<string, TensorData>;
  floatKeys: readonly string[];
}> {
  const copies = replacements.map((r) => [r.key, r.copy] as const);
  const config = tuner.configToJson({
    ...attached.config,
    inferenceMode: true,
    baseModelNameOrPath: attached.config.baseModelNameOrPath ?? baseModel ?? null,
    peftVersion: PEFT_VERSION,
  });
  const tensors = new Map([
    ...(await attached.toStateDict(runtime)),
    ...(await readParameters(runtime, copies)),
  ]);
  return { config, tensors, floatKeys: tuner.floatKeys ?? [] };
}

/** The files of an adapter by name. */
export async function encodeEntry(
  runtime: Runtime,
  entry: Entry,
  baseModel: string | undefined,
): Promise<Record<string, Uint8Array>> {
  const { config, tensors, floatKeys } = await savedForm(runtime, entry, baseModel);
  return encodeAdapter(config, tensors, { floatKeys });
}

/** @throws those of `writeAdapter` */
export async function writeEntry(
  folder: Folder,
  runtime: Runtime,
  entry: Entry,
  baseModel: string | undefined,
): Promise<void> {
  const { config, tensors, floatKeys } = await savedForm(runtime, entry, baseModel);
  await writeAdapter(folder, config, tensors, { floatKeys });
}
