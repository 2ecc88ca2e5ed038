import { createRequire } from 'node:module';
import importX from 'eslint-plugin-import-x';
import tseslint from 'typescript-eslint';

const require = createRequire(import.meta.url);
const importRules = require('./tools/import-rules.json');

/** One block per package: everything that package may not import, derived from tools/import-rules.json. */
const boundaries = Object.entries(importRules.packages).map(([folder, may]) => ({
  files: [`${folder}/**/*.ts`],
  rules: {
    '@typescript-eslint/no-restricted-imports': [
      'error',
      {
        patterns: [
          {
            regex: `^@virtbus/(?!(${may.allowed.join('|') || '-'})(/(bus|log|config|auth|files|metrics|service|tracing|storage|snapshot|checkpoint|backup))?$)`,
            message: `${folder} may import only: ${may.allowed.join(', ') || 'nothing of ours'} (tools/import-rules.json)`,
          },
          { group: ['@virtbus/*/src/*', '@virtbus/*/dist/*'], message: 'Import a package by its exported name.' },
          {
            regex: '(\\.\\./)+(libs|services|cli|tools|test|bench)/',
            message: 'Import a package by its exported name.',
          },
        ],
        paths: Object.entries(importRules.owned)
          .filter(([, owners]) => !owners.some((owner) => owner.startsWith(folder)))
          .map(([name, owners]) => ({ name, message: `only ${owners.join(', ')} may import ${name}` })),
      },
    ],
  },
}));

export default tseslint.config(
  { ignores: ['**/dist/**', '**/node_modules/**', '**/*.js', '**/*.mjs'] },
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { project: './tsconfig.eslint.json', tsconfigRootDir: import.meta.dirname } },
    plugins: { 'import-x': importX },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/require-await': 'off',
      'import-x/no-cycle': ['error', { ignoreExternal: true }],
      'no-console': 'off',
      eqeqeq: 'error',
    },
    settings: { 'import-x/resolver-next': [importX.createNodeResolver({ extensions: ['.ts'] })] },
  },
  {
    files: ['**/*.test.ts'],
    rules: { '@typescript-eslint/no-unsafe-assignment': 'off', '@typescript-eslint/no-unsafe-member-access': 'off' },
  },
  ...boundaries,
  {
    files: ['libs/shared/src/{model,contracts}/**/*.ts', 'libs/shared/src/errors.ts'],
    ignores: ['**/*.test.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              group: ['node:*', 'nats', 'pino', '../bus/*'],
              message: 'Model and contracts import zod and each other only.',
            },
          ],
        },
      ],
    },
  },
);
