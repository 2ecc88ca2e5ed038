export { Readiness, type ReadinessReport } from './readiness';
export * from './run';
