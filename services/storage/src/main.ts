/** `node services/storage`: the storage service of one host. */
import { join } from 'node:path';
import { runService } from '@virtbus/shared/service';
import { startStorageService } from './service';
import { storageSettings } from './settings';

runService({
  name: 'storage',
  settings: storageSettings,
  packageFile: join(__dirname, '..', 'package.json'),
  start: startStorageService,
});
