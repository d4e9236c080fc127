/** Compositions at the sites of a model: what each adapter makes of a site's value, put together. */
import type { Arrangement, Attachment } from '@graftjs/nn';
import { add, cast, concat, mul, narrow, Tensor } from '@graftjs/tensor';
import { adaptersOf, CompositionError, type CompositionParts } from './composition.ts';

/** Keys of attachments end in the name of their adapter. */
const adapterOf = (key: string): string => key.slice(key.lastIndexOf(' ') + 1);

/** A block with these adapters in it, as sites follow it. */
export function arrangementOf(block: CompositionParts, adapters: readonly string[]): Arrangement {
  const names = new Set(adapters);
  return (value, details, attached) => {
    let start = value;
    const own = new Map<string, Attachment<typeof details>[]>();
    for (const [key, attachment] of attached) {
      const name = adapterOf(key);
      if (names.has(name)) own.set(name, [...(own.get(name) ?? []), attachment]);
      else start = attachment(start, details);
    }
    return own.size === 0 ? start : run(block, start, details, own);
  };
}

type Own<Details> = ReadonlyMap<string, readonly Attachment<Details>[]>;

function run<Details>(
  composition: string | CompositionParts,
  value: Tensor,
  details: Details,
  own: Own<Details>,
): Tensor {
  if (typeof composition === 'string')
    return (own.get(composition) ?? []).reduce((x, attachment) => attachment(x, details), value);
  if (composition.kind === 'stack')
    return composition.children.reduce((x, child) => run(child, x, details, own), value);
  if (isForAllRows(value)) {
    const first = composition.children.find((child) => adaptersOf(child).some((name) => own.has(name)));
    return first === undefined ? value : run(first, value, details, own);
  }
  if (composition.kind === 'average') {
    const parts = composition.children.map((child) => run(child, value, details, own));
    checkSameShape(composition, parts);
    return cast(
      parts.map((part, i) => mul(part, composition.weights[i]!)).reduce((a, b) => add(a, b)),
      value.dtype,
    );
  }
  let from = 0;
  const parts = composition.children.map((child, i) => {
    const rows = rowsOf(composition, value.shape[0]!)[i]!;
    const part = run(child, narrow(value, 0, from, rows), rowsOfDetails(details, value, from, rows), own);
    from += rows;
    return part;
  });
  checkSameShape(composition, parts);
  return concat(parts, 0);
}

/** Positions `[t]` that all texts share: adapters that change them differ in keys, too, and are refused there. */
const isForAllRows = ({ rank }: Tensor): boolean => rank < 2;

function rowsOf(
  block: Extract<CompositionParts, { kind: 'parallel' | 'batchSplit' }>,
  rows: number,
): readonly number[] {
  if (block.kind === 'batchSplit') {
    const sum = block.sizes.reduce((a, b) => a + b, 0);
    if (sum !== rows) throw new CompositionError(`batchSplit is for ${sum} rows, and there are ${rows}`);
    return block.sizes;
  }
  const channels = block.children.length;
  if (rows % channels !== 0)
    throw new CompositionError(
      `parallel divides rows among ${channels} children, and there are ${rows}; give inParallel(inputs, ${channels})`,
    );
  return block.children.map(() => rows / channels);
}

/** What is of a batch's rows in a site's details, of these rows only. */
function rowsOfDetails<Details>(details: Details, value: Tensor, from: number, rows: number): Details {
  const parts = Object.entries(details as object).map(([name, part]) => [
    name,
    part instanceof Tensor && part.rank > 1 && part.shape[0] === value.shape[0]
      ? narrow(part, 0, from, rows)
      : part,
  ]);
  return Object.fromEntries(parts) as Details;
}

function checkSameShape({ kind }: CompositionParts, parts: readonly Tensor[]): void {
  const shapes = new Set(parts.map(({ shape }) => shape.slice(1).join(' × ')));
  if (shapes.size > 1)
    throw new CompositionError(
      `the adapters of ${kind} give values of different shapes, ${[...shapes].join(' and ')}; their prefixes or prompts must have the same length`,
    );
}

/**
 * Inputs of a model with all their rows once for each of `channels` adapters: `[b, …]` -> `[channels b, …]`, the whole
 * batch and then the whole batch again. What is not of two axes or more is left alone.
 */
export function inParallel<Inputs extends object>(inputs: Inputs, channels: number): Inputs {
  const repeated = Object.entries(inputs).map(([name, value]) => [
    name,
    value instanceof Tensor && value.rank > 1
      ? concat(
          Array.from({ length: channels }, () => value as Tensor),
          0,
        )
      : value,
  ]);
  return Object.fromEntries(repeated) as Inputs;
}
