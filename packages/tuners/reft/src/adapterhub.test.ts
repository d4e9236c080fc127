import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { testAgainstAdapterHub } from '@graftjs/tuner-tests';
import { fromAdapterHub, toAdapterHub } from './adapterhub.ts';
import { reft } from './reft.ts';

testAgainstAdapterHub({
  tuner: reft,
  fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
  folder: 'adapterhub-reft',
  cases: ['loreft', 'loreft-tied', 'noreft', 'direft'],
  read: fromAdapterHub,
  write: toAdapterHub,
});
