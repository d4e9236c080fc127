import { Linear, type Module, Site } from '@graftjs/nn';
import { TargetError } from '@graftjs/peft';
import type { AttentionMatrix } from './config.ts';

/** Names of projections by what they give, in the architectures that have them apart. */
const names: Readonly<Record<AttentionMatrix, readonly string[]>> = {
  q: ['q_proj', 'query', 'q'],
  k: ['k_proj', 'key', 'k'],
  v: ['v_proj', 'value', 'v'],
};

/** Attention that lets others stand in front of its keys and values. */
export interface AttentionLayer {
  readonly path: string;
  readonly layer: number;
  readonly module: Module & {
    readonly keys: Site<object>;
    readonly values: Site<object>;
    readonly heads: { readonly kvHeads: number; readonly headDim: number };
  };
}

/** Attention's modules in order. @throws TargetError where the model has none */
export function attentionLayers(model: Module): AttentionLayer[] {
  const found = [...model.namedModules()].filter(([, module]) => {
    const { keys, values, heads } = module as { keys?: unknown; values?: unknown; heads?: unknown };
    return keys instanceof Site && values instanceof Site && typeof heads === 'object';
  });
  if (found.length === 0)
    throw new TargetError('the model has no attention that adapters could go into', {
      asked: null,
      available: [],
    });
  return found.map(([path, module], layer) => ({
    path,
    layer,
    module: module as AttentionLayer['module'],
  }));
}

/** A projection of attention, with its path. @throws TargetError where attention has one product for all of them */
export function projectionOf({ path, module }: AttentionLayer, matrix: AttentionMatrix): [string, Linear] {
  const linears = Object.entries(module).filter(
    (entry): entry is [string, Linear] => entry[1] instanceof Linear,
  );
  const found = linears.find(([name]) => names[matrix].includes(name));
  if (found) return [`${path}.${found[0]}`, found[1]];
  throw new TargetError(`${path} has no projection of its own for ${matrix}; use the LoRA package`, {
    asked: matrix,
    available: linears.map(([name]) => name),
  });
}

/** The projection that shows what enters attention: the first one. */
export function inputOf({ path, module }: AttentionLayer): Linear {
  const first = Object.values(module).find((value) => value instanceof Linear);
  if (first instanceof Linear) return first;
  throw new TargetError(`${path} has no linear layer`, { asked: null, available: [] });
}
