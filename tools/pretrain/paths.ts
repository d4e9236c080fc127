import { fileURLToPath } from 'node:url';

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** What the scripts write on the way; ignored by git. */
export const runFolder = at('runs/pretrain/');
/** What is published as `@graftjs/tiny-llama`. */
export const packageFiles = at('packages/assets/tiny-llama/files/');

export const pretrainTrain = `${runFolder}train.jsonl`;
export const pretrainHeldOut = `${runFolder}heldout.jsonl`;
export const quickstartTrain = `${packageFiles}quickstart/train.jsonl`;
export const quickstartHeldOut = `${packageFiles}quickstart/heldout.jsonl`;
