export type { PhaseEvent, QuickstartEvent, SampleEvent, StartEvent } from './events.ts';
export { type QuickstartOptions, type QuickstartResult, runQuickstart, type Sample } from './quickstart.ts';
export { quickstartRecipe, type Recipe } from './recipe.ts';
export type { QuickstartText } from './text-examples.ts';
