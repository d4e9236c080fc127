export { type RoadConfig, road, roadConfig } from './road.ts';
