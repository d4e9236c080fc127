/** Where AdaLoRA goes in a model of a type when no targets are named, as in PEFT 0.21.2. */
export { blockTargets as defaultTargets } from '@graftjs/peft';
