// SPDX-License-Identifier: GPL-2.0 OR MIT
// Workers, processes, a server, the thread pool, timers, the compiler's code.
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const child = require('child_process');
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');

if (!isMainThread) {
	let n = 0;
	for (let i = 0; i < 200000; i++)
		n = (n + i * workerData) % 1000003;
	parentPort.postMessage(n);
} else {
	main();
}

function worker(n)
{
	return new Promise((resolve, reject) => {
		const w = new Worker(__filename, { workerData: n });
		let result;
		w.on('message', m => { result = m; });
		w.on('exit', code => resolve([result, code]));
		w.on('error', reject);
	});
}

function get(port, path)
{
	return new Promise(resolve => http.get({ port, path, host: '127.0.0.1' }, r => {
		let text = '';
		r.on('data', d => { text += d; });
		r.on('end', () => resolve(text));
	}));
}

async function main()
{
	console.log(await Promise.all([worker(3), worker(5)]));
	console.log(child.execSync('echo from a shell').toString().trim());
	console.log(child.spawnSync('sh', ['-c', 'exit 3']).status);
	const server = http.createServer((q, r) => r.end('you asked for ' + q.url)).listen(0, '127.0.0.1');
	await new Promise(resolve => server.on('listening', resolve));
	for (const text of await Promise.all(['/a', '/b', '/c'].map(p => get(server.address().port, p))))
		console.log(text);
	server.close();
	const keys = [1, 2, 3].map(n => new Promise(resolve =>
		crypto.pbkdf2('pw' + n, 'salt', 50, 16, 'sha256', (e, k) => resolve(k.toString('hex')))));
	console.log(await Promise.all(keys));
	await fs.promises.writeFile('file', 'x'.repeat(100000));
	console.log((await fs.promises.stat('file')).size);
	let ticks = 0;
	await new Promise(resolve => {
		const t = setInterval(() => { if (++ticks === 5) { clearInterval(t); resolve(); } }, 5);
	});
	console.log('ticks', ticks);
	process.on('SIGUSR2', () => { console.log('USR2'); process.exit(4); });
	process.kill(process.pid, 'SIGUSR2');
	setTimeout(() => {}, 10000);
}
