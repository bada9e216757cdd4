// Web servers as they come from a distribution, each started on ports of this machine over a folder of files:
//
//   /files/      static files, as the server serves them unless told otherwise
//   /packed/     the same, compressed on the fly for their type
//   /moved/      answered with a redirect to /files/
import { spawn } from "node:child_process";
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect as http2 } from "node:http2";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { selfSigned } from "./server.mjs";

/** Where system programs lie that are not on everybody's PATH. */
const PLACES = [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/usr/local/sbin"];

function find(name) {
  for (const place of PLACES) {
    try {
      const file = join(place, name);
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not there.
    }
  }
  return undefined;
}

/** Every server: the program, its configuration, and how to run it in the foreground. */
const SERVERS = {
  nginx: {
    program: "nginx",
    config: ({ folder, files, plain, secure }) => `
      daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/log;${process.getuid?.() === 0 ? " user root;" : ""}
      events {}
      http {
        access_log off; default_type application/octet-stream; types { application/octet-stream shore; application/gzip gz; }
        client_body_temp_path ${folder}/a; proxy_temp_path ${folder}/b; fastcgi_temp_path ${folder}/c; uwsgi_temp_path ${folder}/d; scgi_temp_path ${folder}/e;
        server {
          listen 127.0.0.1:${plain}; listen 127.0.0.1:${secure} ssl http2;
          ssl_certificate ${folder}/cert; ssl_certificate_key ${folder}/key;
          add_header Access-Control-Allow-Origin * always; add_header Timing-Allow-Origin *;
          location /files/ { alias ${files}/; }
          location /packed/ { alias ${files}/; gzip on; gzip_min_length 1; gzip_types application/octet-stream; }
          location /moved/ { rewrite ^/moved/(.*) /files/$1 redirect; }
        }
      }`,
    arguments: (config, folder) => ["-p", folder, "-c", config],
  },
  caddy: {
    program: "caddy",
    config: ({ folder, files, plain, secure }) => {
      const site = `
        bind 127.0.0.1
        header Access-Control-Allow-Origin *
        header Timing-Allow-Origin *
        handle_path /moved/* {
          redir * /files{uri} 302
        }
        handle_path /files/* {
          root * ${files}
          file_server
        }
        handle_path /packed/* {
          root * ${files}
          encode gzip {
            minimum_length 1
            match status 2xx
          }
          file_server
        }`;
      return `
      {
        admin off
        auto_https off
        storage file_system ${folder}
      }
      http://127.0.0.1:${plain} {${site}
      }
      https://127.0.0.1:${secure} {
        tls ${folder}/cert ${folder}/key${site}
      }`;
    },
    arguments: (config) => ["run", "--config", config, "--adapter", "caddyfile"],
  },
  apache: {
    program: "apache2",
    config: ({ folder, files, plain, secure }) => `
      ServerRoot ${folder}
      ServerName 127.0.0.1
      PidFile ${folder}/pid
      ErrorLog ${folder}/log
      DefaultRuntimeDir ${folder}
      ${["mpm_event", "authz_core", "mime", "alias", "headers", "filter", "deflate", "ssl", "http2"].map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join("\n")}
      TypesConfig /dev/null
      AddType application/octet-stream .shore
      Listen 127.0.0.1:${plain}
      Listen 127.0.0.1:${secure}
      Header always set Access-Control-Allow-Origin *
      Header set Timing-Allow-Origin *
      <Directory ${files}>
        Require all granted
      </Directory>
      Alias /files/ ${files}/
      Alias /packed/ ${files}/
      <Location /packed/>
        SetOutputFilter DEFLATE
      </Location>
      RedirectMatch 302 ^/moved/(.*) /files/$1
      <VirtualHost 127.0.0.1:${plain}>
      </VirtualHost>
      <VirtualHost 127.0.0.1:${secure}>
        Protocols h2 http/1.1
        SSLEngine on
        SSLCertificateFile ${folder}/cert
        SSLCertificateKeyFile ${folder}/key
      </VirtualHost>`,
    arguments: (config) => ["-X", "-f", config],
  },
};

export const NAMES = Object.keys(SERVERS);

/** Why a server cannot be started here; undefined if it can. */
export function absent(name) {
  return find(SERVERS[name].program) ? undefined : `${SERVERS[name].program} is not installed`;
}

/** A port that is free now. */
async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const answers = (port) =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => (socket.destroy(), resolve(true)));
    socket.once("error", () => resolve(false));
  });

/** Starts a server over a folder of files. */
export async function start(name, files) {
  const server = SERVERS[name];
  const folder = mkdtempSync(join(tmpdir(), `nearshore-${name}-`));
  const { key, cert } = selfSigned();
  writeFileSync(join(folder, "key"), key);
  writeFileSync(join(folder, "cert"), cert);
  const [plain, secure] = [await freePort(), await freePort()];
  const config = join(folder, "config");
  writeFileSync(config, server.config({ folder, files, plain, secure }));
  const child = spawn(find(server.program), server.arguments(config, folder), { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder } });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (said += text));
  const ended = new Promise((resolve) => child.once("close", resolve));
  const close = async () => {
    child.kill("SIGTERM");
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  for (let tries = 0; !((await answers(plain)) && (await answers(secure))); tries++) {
    if (tries === 200 || child.exitCode !== null) {
      await close();
      throw new Error(`${name} did not start: ${said}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return { plain: `http://127.0.0.1:${plain}`, secure: `https://127.0.0.1:${secure}`, close };
}

/** A `fetch` over one HTTP/2 connection, which Node's own does not speak; the certificate is taken as it is. */
export function fetchOverH2(origin) {
  const session = http2(origin, { rejectUnauthorized: false });
  const send = (url, { headers, signal }) =>
    new Promise((resolve, reject) => {
      const request = session.request({ ":path": new URL(url).pathname, ...Object.fromEntries(new Headers(headers)) }, { signal });
      const chunks = [];
      let head;
      request.on("response", (received) => (head = received));
      request.on("data", (chunk) => chunks.push(chunk));
      request.on("error", reject);
      request.on("end", () => {
        const plain = Object.entries(head).filter(([name]) => !name.startsWith(":"));
        resolve(new Response(Buffer.concat(chunks), { status: head[":status"], headers: plain.map(([name, value]) => [name, String(value)]) }));
      });
      request.end();
    });
  return { send, protocol: () => session.alpnProtocol, close: () => session.close() };
}
