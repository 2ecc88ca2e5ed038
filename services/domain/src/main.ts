/** `node services/domain`: one copy of the domain service. */
import { join } from 'node:path';
import { runService } from '@virtbus/shared/service';
import { startDomainService } from './service';
import { domainSettings } from './settings';

runService({
  name: 'domain',
  settings: domainSettings,
  packageFile: join(__dirname, '..', 'package.json'),
  start: startDomainService,
});
