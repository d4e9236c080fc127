import { findKey } from '../config/keys.ts';
import type { Config } from '../config/schema.ts';
import { UsageError } from '../errors.ts';
import { storageOf } from './open-base.ts';

const key = findKey('weights', 'format')!;

export const weightsFlag = {
  type: 'string',
  valueHint: 'nf4',
  description: `${key.about} Default: stored`,
} as const;

/** How `--weights` wants a base in memory. @throws UsageError */
export function storageFlag(text = 'stored'): ReturnType<typeof storageOf> {
  const parsed = key.schema.safeParse(text);
  if (!parsed.success)
    throw new UsageError(`--weights is ${JSON.stringify(text)}: it must be ${key.expects}`);
  return storageOf({ weights: { format: parsed.data as Config['weights']['format'] } });
}
