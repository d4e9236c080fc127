import type { Linear } from '@graftjs/nn';
import { TorchRandom } from '@graftjs/peft';
import { synthesisFilters } from './wavelets.ts';

/** What one unit of each coefficient adds to ΔW: as many entries for each, one after another. */
export interface Patches {
  /** Index of the entry in ΔW `[out, in]`, row by row. */
  readonly places: Int32Array<ArrayBuffer>;
  /** 0 where the patch reaches beyond ΔW. */
  readonly values: Float32Array<ArrayBuffer>;
}

export interface PatchOptions {
  readonly randomLocSeed: number;
  readonly waveletFamily: string;
  readonly useIdwt: boolean;
}

/** A line of a patch: where it starts along an axis of ΔW, and the filter that it is. */
interface Line {
  readonly start: number;
  readonly filter: readonly number[];
}

/** n patches for a layer, at places drawn by the seed. */
export function patchesOf(
  { inFeatures, outFeatures }: Pick<Linear, 'inFeatures' | 'outFeatures'>,
  n: number,
  { randomLocSeed, waveletFamily, useIdwt }: PatchOptions,
): Patches {
  const drawn = new TorchRandom(randomLocSeed).randperm(inFeatures * outFeatures, n);
  if (!useIdwt) return { places: Int32Array.from(drawn), values: new Float32Array(n).fill(1) };
  const { low, high } = synthesisFilters(waveletFamily);
  const [rows, columns] = [axis(outFeatures, low.length), axis(inFeatures, low.length)];
  const length = low.length ** 2;
  const places = new Int32Array(n * length);
  const values = new Float32Array(n * length);
  for (const [k, place] of drawn.entries()) {
    const [row, column] = [rows(Math.floor(place / inFeatures)), columns(place % inFeatures)];
    // PEFT takes the upper right quarter for details along rows, the lower left for those along columns
    const vertical: Line = { start: row.start, filter: column.isDetail ? high : low };
    const horizontal: Line = { start: column.start, filter: row.isDetail ? high : low };
    patch(vertical, horizontal, { inFeatures, outFeatures }, (i, index, value) => {
      places[k * length + i] = index;
      values[k * length + i] = value;
    });
  }
  return { places, values };
}

/**
 * Coefficients along an axis of `size`: padded by what the filters take off, to an even number, its first half is that of
 * averages, the second that of details. Coefficient i of either starts at 2 i, less what is cut off.
 */
function axis(size: number, filter: number): (at: number) => { start: number; isDetail: boolean } {
  const reduced = size + filter - 2;
  const padded = reduced + (reduced % 2);
  const before = Math.floor((padded - size) / 2);
  const half = padded / 2;
  const cut = Math.floor((2 * filter - 3) / 2);
  const length = 2 * (half - 1) + filter - 2 * cut;
  const crop = Math.floor((length - size) / 2);
  return (at) => {
    const coefficient = at + before;
    const isDetail = coefficient >= half;
    return { start: 2 * (isDetail ? coefficient - half : coefficient) - cut - crop, isDetail };
  };
}

function patch(
  vertical: Line,
  horizontal: Line,
  { inFeatures, outFeatures }: Pick<Linear, 'inFeatures' | 'outFeatures'>,
  put: (i: number, index: number, value: number) => void,
): void {
  let i = 0;
  for (const [r, weight] of vertical.filter.entries())
    for (const [c, other] of horizontal.filter.entries()) {
      const [row, column] = [vertical.start + r, horizontal.start + c];
      if (row >= 0 && row < outFeatures && column >= 0 && column < inFeatures)
        put(i, row * inFeatures + column, weight * other);
      i++;
    }
}
