export { modelTypes, smallModel } from './models.ts';
export { type PeftCases, testAgainstPeft } from './test-against-peft.ts';
export { testTuner } from './test-tuner.ts';
export { type Cell, cells, type TunerCase } from './tuner-case.ts';
