/** `node services/migration`: one copy of the migration service. */
import { join } from 'node:path';
import { runService } from '@virtbus/shared/service';
import { startMigrationService } from './service';
import { migrationSettings } from './settings';

runService({
  name: 'migration',
  settings: migrationSettings,
  packageFile: join(__dirname, '..', 'package.json'),
  start: startMigrationService,
});
