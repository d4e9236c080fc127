import { readFileSync } from 'node:fs';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { runQuickstart } from '@graftjs/quickstart';
import { openGpu } from '@graftjs/webgpu';

const gpu = await openGpu();
const runtime = new Runtime(gpu);
const opts = JSON.parse(process.argv[2] ?? '{}');
const r = await runQuickstart({
  runtime,
  base: nodeFolder('/tmp/pg/base'),
  train: readFileSync('/tmp/pg/base' + '/quickstart/train.jsonl', 'utf8'),
  heldOut: readFileSync('/tmp/pg/base' + '/quickstart/heldout.jsonl', 'utf8'),
  ...opts,
  onEvent: (e) => {
    if (e.event === 'step' && e.step % 10) return;
    console.log(JSON.stringify(e).slice(0, 300));
  },
});
const { adapterFiles, recipe, ...rest } = r;
console.log(
  JSON.stringify(rest, null, 1),
  [...adapterFiles].map(([k, v]) => [k, v.length]),
);
gpu.close();
