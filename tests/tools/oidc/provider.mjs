// npm's oidc-provider as one test needs it: accounts without passwords, JWT and opaque access tokens for the gateway, keys
// that rotate on request. Serves HTTPS until standard input closes.
//
//   node provider.mjs '{"port": 1, "cert": "FILE", "key": "FILE", "gateway": "https://…", "secret": "…", "accounts": {…}}'
//
//   POST /test/rotate   signs with a new key; the old one stays in the set until POST /test/drop
//   GET  /test/counts   how often the key set was fetched, how often a token was introspected
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
const counts = { jwks: 0, introspection: 0 };
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
    ],
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
      introspection: { enabled: true, allowedPolicy: (_, asking) => asking.clientId === 'introspector' },
      revocation: { enabled: true },
      dPoP: { enabled: true, nonceSecret },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
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

const server = https.createServer(
  { cert: readFileSync(setup.cert), key: readFileSync(setup.key), requestCert: true, rejectUnauthorized: false },
  async (request, response) => {
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
  },
);
server.listen(setup.port, '127.0.0.1', () => console.log('ready'));
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
