/** Asks the service of this container, where VIRTBUS_HTTP_LISTEN says, whether it can do its work. Exit code 0: it can. */
'use strict';
const { get } = require('node:http');

const listen = process.env.VIRTBUS_HTTP_LISTEN ?? '';
const colon = listen.lastIndexOf(':');
const place = listen.startsWith('unix:')
  ? { socketPath: listen.slice('unix:'.length) }
  : { host: listen.slice(0, colon).replace('0.0.0.0', '127.0.0.1'), port: Number(listen.slice(colon + 1)) };

get({ ...place, path: '/readyz', timeout: 15_000 }, (response) => {
  response.pipe(process.stdout);
  process.exitCode = response.statusCode === 200 ? 0 : 1;
})
  .on('timeout', () => process.exit(1))
  .on('error', (error) => {
    console.log(String(error));
    process.exit(1);
  });
