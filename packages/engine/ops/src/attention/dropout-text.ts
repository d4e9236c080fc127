import { philoxText } from '@graftjs/tensor';
import type { NamedBuffer, Word } from '../kernel-text.ts';
import { type Frame, optionalBuffer } from './frame.ts';

export const seedBuffer = ({ operands }: Frame): NamedBuffer[] =>
  optionalBuffer('seed', 'u32', operands.seed);

/** Words of the uniform block for {@link dropoutFunction}. */
export function dropoutWords({ request, operands }: Frame): Word[] {
  if (operands.seed === undefined) return [];
  const kept = 1 - (request.attrs.dropout as number);
  return [
    ['stream', 'u32', request.attrs.stream as number],
    ['keptBits', 'u32', Math.floor(kept * 2 ** 32)],
    ['keptScale', 'f32', kept > 0 ? 1 / kept : 0],
  ];
}

/** Draws again, for each pair of a query and a key, what `dropout` draws of the weights: no mask is stored. */
export const dropoutFunction = ({ operands }: Frame): string =>
  operands.seed === undefined
    ? ''
    : `${philoxText}
fn keptShare(place: u32, key: u32) -> f32 {
  let at = place * u32(p.keys) + key;
  let bits = graft_philox(at / 4u, p.stream, vec2<u32>(seed[0], seed[1]))[at % 4u];
  return select(0.0, p.keptScale, bits < p.keptBits);
}`;

/** Text of a weight, or of the change with it, after dropout. */
export const afterDropout = ({ operands }: Frame, value: string): string =>
  operands.seed === undefined ? value : `${value} * share`;

/** Text that makes {@link afterDropout}'s `share` for the query at `place` and a key. */
export const letShare = ({ operands }: Frame, key: string): string =>
  operands.seed === undefined ? '' : `    let share = keptShare(place, u32(${key}));`;
