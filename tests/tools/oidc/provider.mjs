// npm's oidc-provider as one test needs it: accounts without passwords, JWT and opaque access tokens for the gateway, keys
// that rotate on request. Serves HTTPS until standard input closes.
//
//   node provider.mjs '{"port": 1, "cert": "FILE", "key": "FILE", "gateway": "https://…", "secret": "…", "accounts": {…},
//                      "known": {"jwk": {…}, "chain": ["base64", …], "uri": "urn:…", "ca": "FILE"}}'
//
// `known` is how the gateway may show who it is, besides the secret. Whoever shows a certificate goes to the next port.
//
//   POST /test/rotate   signs with a new key; the old one stays in the set until POST /test/drop
//   GET  /test/counts   how often the key set was fetched, a token introspected, the next port asked
import { readFileSync } from 'node:fs';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import https from 'node:https';
import Provider from 'oidc-provider';

const setup = JSON.parse(process.argv[2]);
const issuer = `https://127.0.0.1:${setup.port}`;

let made = 0;
const newKey = () => {
  made += 1;
  const jwk = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
  return { ...jwk, kid: `key-${made}`, use: 'sig', alg: 'ES256' };
};
let keys = [newKey()];
const counts = { jwks: 0, introspection: 0, alias: 0 };
const { known } = setup;
const alias = `https://127.0.0.1:${setup.port + 1}`;
const cookieKeys = [randomBytes(16).toString('hex')];
const nonceSecret = randomBytes(32);

const client = (client_id, more) => ({
  client_id,
  redirect_uris: [`${setup.gateway}/sign-in/callback`],
  post_logout_redirect_uris: [`${setup.gateway}/signed-out`],
  response_types: ['code'],
  grant_types: ['authorization_code'],
  token_endpoint_auth_method: 'none',
  id_token_signed_response_alg: 'ES256',
  ...more,
});
const secret = { token_endpoint_auth_method: 'client_secret_basic', client_secret: setup.secret };
const pinned = { ...known.jwk, kid: 'of-the-certificate', x5c: known.chain };
const ours = [
  ['post', { token_endpoint_auth_method: 'client_secret_post', client_secret: setup.secret }],
  ['key', { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [known.jwk] } }],
  ['certificate', { token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_san_uri: known.uri }],
  ['pinned', { token_endpoint_auth_method: 'self_signed_tls_client_auth', jwks: { keys: [pinned] } }],
];

const make = () => {
  const provider = new Provider(issuer, {
    jwks: { keys },
    cookies: { keys: cookieKeys },
    pkce: { required: () => true },
    clients: [
      client('app'),
      client('opaque-app'),
      client('desk', { tls_client_certificate_bound_access_tokens: true }),
      client('phone', { dpop_bound_access_tokens: true }),
      client('gateway', { ...secret, backchannel_logout_uri: `${setup.gateway}/v1/backchannel-logout` }),
      client('introspector', { ...secret, redirect_uris: [], response_types: [], grant_types: [] }),
      ...ours.map(([name, more]) => client(name, more)),
    ],
    clientAuthMethods: ['none', 'client_secret_basic', ...ours.map(([, more]) => more.token_endpoint_auth_method)],
    discovery: { mtls_endpoint_aliases: { token_endpoint: `${alias}/token`, introspection_endpoint: `${alias}/token/introspection` } },
    scopes: ['openid', 'profile'],
    findAccount: (_, id) => setup.accounts[id] && {
      accountId: id,
      claims: async () => ({ sub: id, name: setup.accounts[id].name }),
    },
    // What the gateway reads of people, besides RFC 9068's own members.
    extraTokenClaims: (_, token) => ({
      ...setup.accounts[token.accountId],
      acr: 'urn:tongban:acr:3',
      auth_time: Math.floor(Date.now() / 1000),
    }),
    ttl: { AccessToken: 600, AuthorizationCode: 60, Session: 600, Grant: 600, Interaction: 60, IdToken: 600 },
    features: {
      devInteractions: { enabled: false },
      introspection: {
        enabled: true,
        allowedPolicy: (_, asking) => ['introspector', ...ours.map(([name]) => name)].includes(asking.clientId),
      },
      revocation: { enabled: true },
      dPoP: { enabled: true, nonceSecret },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        tlsClientAuth: true,
        selfSignedTlsClientAuth: true,
        certificateAuthorized: (ctx) => ctx.socket.authorized,
        certificateSubjectMatches: (ctx, property, expected) =>
          property === 'tls_client_auth_san_uri' && ctx.socket.getPeerCertificate().subjectaltname.split(', ').includes(`URI:${expected}`),
        getCertificate: (ctx) => {
          const peer = ctx.socket.getPeerCertificate();
          return peer?.raw && `-----BEGIN CERTIFICATE-----\n${peer.raw.toString('base64')}\n-----END CERTIFICATE-----`;
        },
      },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => setup.gateway,
        useGrantedResource: () => true,
        getResourceServerInfo: (_, resource, asking) => ({
          scope: 'openid profile pass',
          audience: resource,
          accessTokenTTL: 600,
          accessTokenFormat: asking.clientId === 'opaque-app' ? 'opaque' : 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    loadExistingGrant: async (ctx) => {
      const grant = new ctx.oidc.provider.Grant({
        clientId: ctx.oidc.client.clientId,
        accountId: ctx.oidc.session.accountId,
      });
      grant.addOIDCScope('openid profile');
      grant.addResourceScope(setup.gateway, 'openid profile pass');
      await grant.save();
      return grant;
    },
    // Logout without a page that asks again.
    renderError: (ctx, out) => { ctx.type = 'json'; ctx.body = out; },
  });
  provider.on('server_error', (_, error) => console.error(error));
  provider.on('backchannel.error', (_, error) => console.error('logout', error));
  return provider;
};

let provider = make();
let callback = provider.callback();

const answer = (response, value) => {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(value));
};

const serve = https.createServer.bind(https, {
  cert: readFileSync(setup.cert),
  key: readFileSync(setup.key),
  ca: readFileSync(known.ca),
  requestCert: true,
  rejectUnauthorized: false,
});
const handle = async (request, response) => {
  const path = request.url.split('?')[0];
  try {
    if (path === '/jwks') counts.jwks += 1;
    if (path === '/token/introspection') counts.introspection += 1;
    if (path === '/test/counts') return answer(response, counts);
    if (path === '/test/rotate') {
      keys = [newKey(), ...keys];
      callback = (provider = make()).callback();
      return answer(response, { kid: keys[0].kid });
    }
    if (path === '/test/drop') {
      keys = keys.slice(0, 1);
      callback = (provider = make()).callback();
      return answer(response, {});
    }
    // Signing in: the account that the application hints at, as if they had shown their face.
    if (path.startsWith('/interaction/')) {
      const details = await provider.interactionDetails(request, response);
      const accountId = details.params.login_hint ?? 'zhangsan';
      const login = { accountId, acr: 'urn:tongban:acr:3', amr: ['face'] };
      return await provider.interactionFinished(request, response, { login }, { mergeWithLastSubmission: false });
    }
    return callback(request, response);
  } catch (error) {
    console.error(error);
    response.statusCode = 500;
    return answer(response, { error: String(error) });
  }
};
serve((request, response) => {
  counts.alias += 1;
  return handle(request, response);
}).listen(setup.port + 1, '127.0.0.1', () => serve(handle).listen(setup.port, '127.0.0.1', () => console.log('ready')));
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
