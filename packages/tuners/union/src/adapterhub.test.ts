import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstAdapterHub } from '@graftjs/tuner-tests';
import { fromAdapterHub, toAdapterHub } from './adapterhub.ts';
import { union } from './presets.ts';

testAgainstAdapterHub({
  tuner: union,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  folder: 'adapterhub-unions',
  cases: ['unipelt', 'mam', 'flat'],
  read: fromAdapterHub,
  write: toAdapterHub,
});
