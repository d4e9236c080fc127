export type { CellFacts, TunerCell } from './cell-facts.ts';
export { modelTypes, smallModel, smallSeq2Seq } from './models.ts';
export { defaultLayers } from './target-layers.ts';
export { deviation, type PeftCases, testAgainstPeft } from './test-against-peft.ts';
export { testEncoderAgainstPeft } from './test-encoder-against-peft.ts';
export { testPromptAgainstPeft } from './test-prompt-against-peft.ts';
export { type PromptOnText, testPromptOnText } from './test-prompt-on-text.ts';
export { testTuner } from './test-tuner.ts';
export { type Cell, cells, type TunerCase } from './tuner-case.ts';
