import { checkTensorRange, entryOf, type GgufFile, type Weights } from '@graftjs/checkpoint';
import type { GgufKeys } from './gguf-keys.ts';
import { ggufLayout } from './gguf-layouts.ts';
import { type GgufArchitecture, transformersName } from './gguf-names.ts';

/**
 * The tensors of a GGUF file under transformers' names and in its layout.
 * @throws CheckpointError for tensors that such a model has no place for
 */
export function ggufWeights(gguf: GgufFile, keys: GgufKeys, arch: GgufArchitecture): Weights {
  const tensors = new Map<string, ReturnType<typeof entryOf>>();
  const stored = new Map<string, string>();
  const unknown: string[] = [];
  for (const [name, entry] of gguf.tensors) {
    const renamed = transformersName(arch, name);
    if (renamed === null) continue;
    if (renamed === undefined) unknown.push(name);
    else {
      tensors.set(renamed, ggufLayout(arch, renamed, keys)?.entry(entry) ?? entry);
      stored.set(renamed, name);
    }
  }
  if (unknown.length > 0) {
    const more = unknown.length > 5 ? ` and ${unknown.length - 5} more` : '';
    const shown = unknown.slice(0, 5).map((name) => JSON.stringify(name));
    throw keys.error(
      `a model of the architecture ${keys.arch} has no place for ${shown.join(', ')}${more}`,
      'This variant of the architecture is not supported',
    );
  }
  const weights: Weights = {
    name: gguf.name,
    metadata: gguf.metadata,
    tensors,

    async read(name, range) {
      const entry = entryOf(weights, name);
      const inFile = stored.get(name)!;
      const layout = ggufLayout(arch, name, keys);
      if (!layout) return gguf.read(inFile, range);
      if (range) checkTensorRange(gguf.name, name, entry, range);
      const bytes = await layout.bytes(
        () => gguf.read(inFile),
        () => gguf.readFloat32(inFile),
        entryOf(gguf, inFile),
      );
      return range ? bytes.slice(range.offset, range.offset + range.length) : bytes;
    },

    async readFloat32(name) {
      entryOf(weights, name);
      const inFile = stored.get(name)!;
      const values = await gguf.readFloat32(inFile);
      return ggufLayout(arch, name, keys)?.values(values, entryOf(gguf, inFile)) ?? values;
    },
  };
  return weights;
}
