from apps.accounts.adapter import AccountAdapter as BaseAdapter


class AccountAdapter(BaseAdapter):
    """Sign-in and sign-up as everywhere, but for the domains that must use single sign-on."""
