// Writes the reference of the package, docs/api.md, from the types that are published: `node npm/api.mjs` after a build. A test holds it to them.
// The compiler writes declarations in one way, one member a line with its comment above; that is all that is understood here.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
export const PLACE = join(root, "docs/api.md");

/** What is told where; what is named nowhere comes last. */
const CHAPTERS = {
  "Open and search": ["open", "Index", "OpenOptions", "SearchOptions"],
  "Build and change": ["LiveIndex", "BuildOptions", "BuildProgress", "CreateOptions", "OverOptions", "AddOptions", "AddManyOptions"],
  "What comes back": ["Hits", "Hit", "SearchStats", "Row", "IndexInfo", "QualityRow", "IndexStats", "IndexCache", "Persisted"],
  "What goes in": ["OpenSource", "Source", "FileHandleLike", "Fetch", "HeadersLike", "Vector", "Vectors", "Id", "Ids", "Payload", "Metric", "Element"],
  "Errors": ["NearshoreError", "ErrorCode"],
  "The engine": ["init", "InitOptions", "Wasm"],
};

const HEAD = `# The npm package, call by call

Made from the package's types by \`node npm/api.mjs\`; do not edit. How to use it: [\`npm/README.md\`](../npm/README.md) and the
[guides](guides/browser.md).
`;

/** A comment's text: sentences, then its tags. */
function comment(lines) {
  const text = lines.join("\n").replace(/^\s*\/\*\*|\*\/\s*$/g, "").split("\n").map((line) => line.replace(/^\s*\* ?/, "")).join("\n").trim();
  const [words, ...tags] = text.split(/^@(?=param|packageDocumentation|internal)/m);
  return { words: words.trim(), parameters: tags.filter((tag) => tag.startsWith("param ")).map((tag) => /^param (\S+) ([\s\S]*)$/.exec(tag.trim()).slice(1)) };
}

/** Splits a body into members: a comment, and the declaration below it. `indent` is what stands before each of their first lines. */
function members(lines, indent) {
  const all = [];
  let words = [];
  let declaration = [];
  let inComment = false;
  for (const line of lines) {
    const text = line.startsWith(indent) ? line.slice(indent.length) : line;
    if (declaration.length === 0 && (inComment || text.startsWith("/**"))) {
      words.push(text);
      inComment = !text.includes("*/");
      continue;
    }
    if (text.trim() === "" || text.startsWith("///")) continue;
    declaration.push(text);
    // A declaration ends with its last line that is not indented any more.
    if (/^(?!\s|\/\*\*).*(?:;|\})$/.test(text) && !/\{$/.test(text)) {
      all.push({ ...comment(words), declaration: declaration.join("\n") });
      [words, declaration] = [[], []];
    }
  }
  return all;
}

/** Everything that the package exports, by name. */
function exported() {
  const dist = (name) => readFileSync(join(root, "npm/dist", name), "utf8");
  const all = new Map();
  for (const [, names, file] of dist("index.d.ts").matchAll(/export (?:type )?\{([^}]*)\} from "\.\/(.*)\.js";/g)) {
    const declarations = members(dist(`${file}.d.ts`).split("\n"), "");
    for (const name of names.split(",").map((name) => name.replace("type ", "").trim()).filter(Boolean)) {
      const found = declarations.find(({ declaration }) => new RegExp(`^export (?:declare )?(?:class|interface|type|function) ${name}\\b`).test(declaration));
      if (!found) throw new Error(`${file}.d.ts declares no ${name}`);
      all.set(name, found);
    }
  }
  return all;
}

export function reference() {
  const all = exported();
  const named = new Set(Object.values(CHAPTERS).flat());
  const rest = [...all.keys()].filter((name) => !named.has(name));
  const anchor = (name) => name.toLowerCase().replace(".", "");
  const linked = (text) => text.replace(/\{@link ([\w.]+)\}/g, (_, name) => (all.has(name.split(".")[0]) ? `[\`${name}\`](#${anchor(name)})` : `\`${name}\``));
  const inRow = (text) => linked(text).replace(/\n- /g, "<br>- ").replace(/\s+/g, " ").replaceAll("|", "\\|");
  const code = (text) => `\`\`\`ts\n${text.replace(/^export (declare )?/, "")}\n\`\`\``;

  /** Words of a member, and what its parameters are. */
  const told = ({ words, parameters }) => [linked(words), ...(parameters.length > 0 ? [parameters.map(([name, text]) => `- \`${name}\`: ${linked(text).replace(/\n\s*/g, " ")}`).join("\n")] : [])];

  function section(name) {
    const item = all.get(name);
    const [first, ...body] = item.declaration.split("\n");
    const parts = [`### ${name}`, ...told(item)];
    const inside = members(body.slice(0, -1), "    ").filter(({ declaration }) => !/^#private|^(?:protected )?constructor|^readonly name =/.test(declaration));
    if (/^export interface/.test(first)) {
      const base = /extends (.*) \{$/.exec(first)?.[1];
      if (base) parts.push(`A \`${base}\`, and:`);
      const row = ({ declaration, words }) => {
        // A property, or a method with what it takes.
        const [, key, type] = /^(?:readonly )?(\w+\??(?:\(.*\)(?=: [^()]*$|: Promise))?): ([\s\S]*?);$/.exec(declaration);
        return `| \`${key}\` | \`${type.replace(/\s+/g, " ").replaceAll("|", "\\|")}\` | ${inRow(words)} |`;
      };
      if (inside.length > 0) parts.push(["| name | type | what it is |", "|---|---|---|", ...inside.map(row)].join("\n"));
    } else if (/^export declare class/.test(first)) {
      const base = /extends (\w+)/.exec(first)?.[1];
      if (base) parts.push(all.has(base) ? `Everything that an [\`${base}\`](#${anchor(base)}) has, and:` : `An \`${base}\`, with:`);
      for (const member of inside) {
        const [word] = /(?<=^(?:static |get |readonly )*)(?!static |get |readonly )\w+/.exec(member.declaration) ?? [];
        parts.push([`#### ${name}.${word ?? "[Symbol.asyncDispose]"}`, code(member.declaration), ...told(member)].filter(Boolean).join("\n\n"));
      }
    } else parts.push(code(item.declaration));
    return parts.filter(Boolean).join("\n\n");
  }

  const chapters = Object.entries({ ...CHAPTERS, ...(rest.length > 0 ? { More: rest } : {}) });
  const contents = chapters.map(([title, names]) => `- ${title}: ${names.filter((name) => all.has(name)).map((name) => `[\`${name}\`](#${anchor(name)})`).join(", ")}`).join("\n");
  const body = chapters.map(([title, names]) => [`## ${title}`, ...names.filter((name) => all.has(name)).map(section)].join("\n\n"));
  return [HEAD.trim(), contents, ...body].join("\n\n") + "\n";
}

if (process.argv[1] && import.meta.filename === process.argv[1]) writeFileSync(PLACE, reference());
