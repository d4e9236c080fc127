export { methods } from './method.ts';
export { type RoadConfig, road, roadConfig } from './road.ts';
