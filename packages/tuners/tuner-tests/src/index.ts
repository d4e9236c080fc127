export { modelTypes, smallModel } from './models.ts';
export { testTuner } from './test-tuner.ts';
export { type Cell, cells, type TunerCase } from './tuner-case.ts';
