/**
 * Five projects: `unit` (beside the sources), `integration` (real nats-server, real QEMU, over several services),
 * `conformance`, `containers` (docker-compose.yml in a container engine) and `containers-hurt` (what it stands). Sources are compiled by swc; types are checked by `tsc -b` before jest starts.
 */
const transform = {
  '^.+\\.ts$': [
    '@swc/jest',
    { jsc: { target: 'es2022', parser: { syntax: 'typescript' } }, module: { type: 'commonjs' } },
  ],
};
const moduleNameMapper = {
  '^@virtbus/shared$': '<rootDir>/libs/shared/src/index.ts',
  '^@virtbus/shared/bus$': '<rootDir>/libs/shared/src/bus/index.ts',
  '^@virtbus/shared/log$': '<rootDir>/libs/shared/src/log.ts',
  '^@virtbus/shared/auth$': '<rootDir>/libs/shared/src/auth/index.ts',
  '^@virtbus/shared/files$': '<rootDir>/libs/shared/src/files/index.ts',
  '^@virtbus/shared/metrics$': '<rootDir>/libs/shared/src/metrics/index.ts',
  '^@virtbus/shared/tracing$': '<rootDir>/libs/shared/src/tracing/index.ts',
  '^@virtbus/shared/service$': '<rootDir>/libs/shared/src/service/index.ts',
  '^@virtbus/shared/config$': '<rootDir>/libs/shared/src/config/index.ts',
  '^@virtbus/domain-xml/(storage|snapshot|checkpoint|backup)$': '<rootDir>/libs/domain-xml/src/$1/index.ts',
  '^@virtbus/(domain-xml|disk-image|driver-runtime|migration-saga|testkit)$': '<rootDir>/libs/$1/src/index.ts',
};
const project = (displayName, testMatch) => ({
  displayName,
  rootDir: __dirname,
  // Not .cache, which may hold an engine's images.
  roots: ['bench', 'cli', 'libs', 'services', 'test', 'tools'].map((name) => `<rootDir>/${name}`),
  testEnvironment: 'node',
  transform,
  moduleNameMapper,
  testMatch: testMatch.map((glob) => `<rootDir>/${glob}`),
  modulePathIgnorePatterns: ['/dist/'],
});

module.exports = {
  maxWorkers: 2,
  // A machine may be busy beyond its means: what is waited for is a state.
  testTimeout: 60_000,
  projects: [
    project('unit', [
      '{libs,services}/*/src/**/*.test.ts',
      '{cli,tools,bench}/src/**/*.test.ts',
      'test/src/{fuzz,compatibility}/*.test.ts',
    ]),
    project('integration', ['test/src/integration/**/*.test.ts']),
    project('conformance', ['test/src/conformance/**/*.test.ts']),
    project('containers', ['test/src/containers/*.test.ts']),
    project('containers-hurt', ['test/src/containers/hurt/*.test.ts']),
  ],
};
