import { blockTargets } from '@graftjs/peft';

/** Where VB-LoRA goes in a model of a type when no targets are named, as in PEFT 0.21.2. */
export const defaultTargets: typeof blockTargets = { ...blockTargets, roberta: ['query', 'value'] };
