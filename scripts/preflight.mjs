// Runs before start and test: one clear sentence when the pinned Node did not arrive with `npm ci`.
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 24 || (major === 24 && minor < 15)) {
  console.error(
    `inferd needs Node 24.15 or newer, but this is ${process.version}: run \`npm ci\` (it installs a pinned Node 26 for Linux and macOS) and start through \`npm start\` or \`npx inferd\`.`,
  )
  process.exit(1)
}
