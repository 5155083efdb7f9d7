"""Who signs in, and how: accounts, second factors, tokens, single sign-on, sessions."""

from __future__ import annotations

from janserver.settings.places import BEHIND_TLS, PUBLIC_URL, env

AUTH_USER_MODEL = "accounts.User"
# What an account comes with: a personal organization and its default project.
ACCOUNTS_PROVISIONER = "apps.projects.services.provision_personal_tenant"
# What else ends when somebody leaves an organization: keys, which live above it.
ORGANIZATIONS_OFFBOARDER = "apps.api_keys.leaving.end_keys_of"
AUTHENTICATION_BACKENDS = ["apps.accounts.backends.ProvenAddressBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "account_home"
# The adapter of apps.accounts, which also keeps to the domains that must use single sign-on.
ACCOUNT_ADAPTER = "apps.sso.account_adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
# Whether an address has an account shows in what is mailed to it and nowhere else. Strict: several may claim one.
ACCOUNT_PREVENT_ENUMERATION = "strict"
# In the browser that signed up; elsewhere a confirmed address does not sign anybody in.
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_FORMS = {
    "login": "apps.accounts.forms.LoginForm",
    "signup": "apps.accounts.forms.SignupForm",
    "reset_password": "apps.accounts.forms.ResetPasswordForm",
    "reset_password_from_key": "apps.accounts.forms.ResetPasswordKeyForm",
    "change_password": "apps.accounts.forms.ChangePasswordForm",
    "set_password": "apps.accounts.forms.SetPasswordForm",
    "reauthenticate": "apps.accounts.forms.ReauthenticateForm",
    "add_email": "apps.accounts.forms.AddEmailForm",
}
USERSESSIONS_ADAPTER = "apps.accounts.adapter.UserSessionsAdapter"
# Seconds the mailed link to a new password is good for.
PASSWORD_RESET_TIMEOUT = 3600
# What links in mails lead to. Without these they would begin with the Host header of whoever asked.
HEADLESS_FRONTEND_URLS = {
    "account_confirm_email": f"{PUBLIC_URL}/accounts/confirm-email/{{key}}/",
    "account_reset_password": f"{PUBLIC_URL}/accounts/password/reset/",
    "account_reset_password_from_key": f"{PUBLIC_URL}/accounts/password/reset/key/{{key}}/",
    "account_signup": f"{PUBLIC_URL}/accounts/signup/",
}
MFA_RATE_LIMITS = {"webauthn_login": None}  # there is no account to guess at; addresses count at the edge
# Who may make an account: "open" anybody, "invitation" whom an operator or organization invited, "closed" nobody.
SIGNUP = env.str("JAN_SIGNUP", default="open")
# Whether operators need a second factor to open the admin. Production does not start without.
OPERATOR_MFA = env.bool("JAN_OPERATOR_MFA", default=False)
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Jan Server"
# Seconds, and how many steps before and after now are taken as well: clocks differ, and people type (RFC 6238, 5.2).
MFA_TOTP_PERIOD = 30
MFA_TOTP_TOLERANCE = 1
# allauth would refuse while any address is unconfirmed; AccountPolicyMiddleware asks about the main one.
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_ADAPTER = "apps.accounts.mfa.MFAAdapter"
MFA_FORMS = {
    "activate_totp": "apps.accounts.mfa_forms.ActivateForm",
    "authenticate": "apps.accounts.mfa_forms.CodeForm",
    "reauthenticate": "apps.accounts.mfa_forms.CodeAgainForm",
    "add_webauthn": "apps.accounts.mfa_forms.AddPasskeyForm",
    "login_webauthn": "apps.accounts.mfa_forms.SignInForm",
    "authenticate_webauthn": "apps.accounts.mfa_forms.SecondStepForm",
    "reauthenticate_webauthn": "apps.accounts.mfa_forms.ConfirmForm",
}
# Seconds for which having signed in, or confirmed who one is, opens what is sensitive.
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
# An unlocked screen is not enough to give an account another address or another way in.
ACCOUNT_REAUTHENTICATION_REQUIRED = True
HIJACK_PERMISSION_CHECK = "apps.accounts.acting.may_act_as"
# Browsers allow passkeys on http://localhost only; elsewhere they need https anyway.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not BEHIND_TLS
HEADLESS_ONLY = False
HEADLESS_CLIENTS = ("app",)
HEADLESS_TOKEN_STRATEGY = "apps.accounts.tokens.TokenStrategy"
# Seconds an access token is good for. Revocation holds within 2 s all the same.
HEADLESS_JWT_ACCESS_TOKEN_EXPIRES_IN = env.int("JAN_ACCESS_TOKEN_SECONDS", default=3600)
HEADLESS_JWT_REFRESH_TOKEN_EXPIRES_IN = env.int("JAN_REFRESH_TOKEN_SECONDS", default=30 * 24 * 3600)
TOKEN_ISSUER = PUBLIC_URL
TOKEN_AUDIENCE = "jan-server"
# Hours a guest lives after its last request.
GUEST_HOURS = env.float("JAN_GUEST_HOURS", default=24.0)

# --- Single sign-on: each of these two becomes a row, which the admin shows beside others -----------

SOCIALACCOUNT_ADAPTER = "apps.sso.adapter.SocialAccountAdapter"
# An account joined over a verified address stays joined when the address changes.
SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = True
SOCIALACCOUNT_PROVIDERS = {"saml": {"provider_class": "apps.sso.saml.SAMLProvider"}}
GOOGLE_CLIENT_ID = env.str("OAUTH2_GOOGLE_CLIENT_ID", default="")
GOOGLE_CLIENT_SECRET = env.str("OAUTH2_GOOGLE_CLIENT_SECRET", default="")
# Where Google sends clients of the API; a web client's own page may be it and POST what it got.
GOOGLE_REDIRECT_URL = env.str("OAUTH2_GOOGLE_REDIRECT_URL", default="")
# An OpenID Connect provider: ISSUER, or Keycloak's address and realm, or the address of a discovery document.
OIDC_ISSUER = env.str("ISSUER", default="")
KEYCLOAK_BASE_URL = env.str("KEYCLOAK_BASE_URL", default="").rstrip("/")
KEYCLOAK_REALM = env.str("KEYCLOAK_REALM", default="jan")
OIDC_DISCOVERY_URL = env.str("OIDC_DISCOVERY_URL", default="")
OIDC_CLIENT_ID = env.str("OIDC_CLIENT_ID", default="")
OIDC_CLIENT_SECRET = env.str("OIDC_CLIENT_SECRET", default="")
# Its access tokens open the API: where its keys are, and whom the tokens have to be made for.
JWKS_URL = env.str("JWKS_URL", default="")
OIDC_AUDIENCES = [*env.list("AUDIENCE", default=[]), *env.list("ACCOUNT", default=[])]

SESSION_COOKIE_AGE = HEADLESS_JWT_REFRESH_TOKEN_EXPIRES_IN
SESSION_COOKIE_SECURE = BEHIND_TLS
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SECURE = BEHIND_TLS
CSRF_COOKIE_HTTPONLY = True
if BEHIND_TLS:
    SESSION_COOKIE_NAME = "__Host-jan_session"
    CSRF_COOKIE_NAME = "__Host-jan_csrf"
else:
    SESSION_COOKIE_NAME = "jan_session"
    CSRF_COOKIE_NAME = "jan_csrf"

# The first operator: made at start if both are given; without them `make up` makes one and shows its password once.
OPERATOR_EMAIL = env.str("JAN_OPERATOR_EMAIL", default="")
OPERATOR_PASSWORD = env.str("JAN_OPERATOR_PASSWORD", default="")
