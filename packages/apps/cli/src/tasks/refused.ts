import type { Config } from '../config/schema.ts';
import type { Task } from './task.ts';

type Refused = Task['refused'][number];

export const noPacking: Refused = {
  path: 'data.packing',
  given: ({ data }) => data.packing,
  why: 'the encoder sees whole rows, so that packed texts would see each other',
};

export const noSplitting: Refused = {
  path: 'data.overLong',
  given: ({ data }) => data.overLong === 'split',
  why: 'a part of an example has no answer: truncate or drop',
};

/** @param format the only one that is read */
export const onlyFormat = (format: Config['data']['format']): Refused => ({
  path: 'data.format',
  given: ({ data }) => data.format !== 'auto' && data.format !== format,
  why: `its rows are of the format ${format}`,
});
