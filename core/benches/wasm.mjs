// Builds wasm.rs with and without simd128, proves the kernels equal to scalar, and prints nanoseconds a distance:
//   node core/benches/wasm.mjs                     in Node
//   node core/benches/wasm.mjs --chromium PATH     in Chromium, headless
//   node core/benches/wasm.mjs --proof             the proof alone
// Ends with exit code 1 if a kernel differs. Built files go to CARGO_TARGET_DIR, or core/benches/target.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
const target = join(process.env.CARGO_TARGET_DIR ?? join(here, 'target'), 'wasm-kernels')
const triple = 'wasm32-unknown-unknown'

function build(variant, flags) {
  const folder = join(target, variant)
  const arguments_ = ['build', '--quiet', '--release', '--lib', '--target', triple, '--manifest-path', join(here, 'Cargo.toml'), '--target-dir', folder]
  execFileSync('cargo', arguments_, { stdio: 'inherit', env: { ...process.env, RUSTFLAGS: flags } })
  return readFileSync(join(folder, triple, 'release', 'nearshore_core_benches.wasm'))
}

// Runs in Node and, as text, in the page: no outer names.
async function measure(modules, proof) {
  const kernels = ['dot_f32', 'l2_f32', 'dot_i8', 'l2_i8', 'dot_i16_i8', 'dots_i16_i8 x 32', 'hamming', 'plain f32 loop',
    'estimate x 32', 'dots u4 u1 x 32', 'dots i16 u2 x 32', 'dots i16 u4 x 32', 'fill sign tables', 'rotate']
  // A shared machine makes wall time useless; a page has nothing else.
  const clock = globalThis.process ? () => process.cpuUsage().user / 1e3 : () => performance.now()
  const lines = []
  let differences = 0
  for (const [name, bytes] of modules) {
    const { instance } = await WebAssembly.instantiate(bytes)
    const differ = instance.exports.differences()
    differences += differ
    lines.push(`${name}: ${differ} differences from scalar over all entries and lengths; backend ${instance.exports.has_simd() ? 'wasm128' : 'scalar'}`)
    for (const [kernel, title] of proof ? [] : kernels.entries()) {
      const cells = [128, 384, 768, 1024, 1536].map((dimensions) => {
        // Those of a query take as long as tens of rows.
        const times = 32 * Math.ceil((kernel < 12 ? 200_000 : 10_000) / dimensions)
        const rounds = Array.from({ length: 15 }, () => {
          const start = clock()
          instance.exports.distances(kernel, dimensions, times)
          return ((clock() - start) * 1e6) / times
        })
        return rounds.sort((a, b) => a - b)[7].toFixed(1).padStart(8)
      })
      lines.push(`  ${title.padEnd(18)}${cells.join('')}`)
    }
  }
  return { text: lines.join('\n'), differences }
}

// Serves a page that measures and posts what it found.
async function measureInPage(browser) {
  const encoded = JSON.stringify(modules.map(([name, bytes]) => [name, bytes.toString('base64')]))
  const page = `<!doctype html><title>kernels</title><script type="module">
    const modules = ${encoded}.map(([name, text]) => [name, Uint8Array.from(atob(text), (c) => c.charCodeAt(0))])
    const result = await (${measure})(modules)
    await fetch('/result', { method: 'POST', body: JSON.stringify({ ...result, agent: navigator.userAgent }) })
  </script>`
  const server = createServer(async (request, response) => {
    if (request.method !== 'POST') return response.setHeader('content-type', 'text/html').end(page)
    const chunks = await request.toArray()
    response.end()
    server.emit('result', JSON.parse(Buffer.concat(chunks).toString()))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const profile = mkdtempSync(join(tmpdir(), 'nearshore-kernels-'))
  const flags = ['--headless', '--no-sandbox', '--disable-gpu', `--user-data-dir=${profile}`]
  const child = spawn(browser, [...flags, `http://127.0.0.1:${server.address().port}/`], { stdio: 'ignore' })
  try {
    const [result] = await once(server, 'result', { signal: AbortSignal.timeout(180_000) })
    return result
  } finally {
    child.kill()
    await once(child, 'exit')
    server.closeAllConnections()
    server.close()
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
  }
}

// What the download is compiled with (xtask/src/wasm.rs, Cargo.toml): what a compiler would make vectors of by itself, it does not there.
const download =
  '-Copt-level=2 -Cno-vectorize-loops -Cllvm-args=-inline-threshold=3 -Cllvm-args=-unroll-runtime=false -Cllvm-args=-unroll-allow-partial=false'
const modules = [
  ['without simd128', build('plain', download)],
  ['with simd128', build('simd128', `${download} -Ctarget-feature=+simd128`)],
]
console.log('median ns a distance at 128, 384, 768, 1024, 1536 dimensions')
const chromium = process.argv.indexOf('--chromium')
const result = chromium < 0 ? await measure(modules, process.argv.includes('--proof')) : await measureInPage(process.argv[chromium + 1] ?? 'chromium')
console.log(result.agent ?? `Node ${process.version}`)
console.log(result.text)
process.exit(result.differences === 0 ? 0 : 1)
