"""Path parts that are public ids."""


class OrganizationId:
    """The id of an organization, so that no literal part of a path is taken for one."""

    regex = "org_[0-9A-Za-z]{1,32}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value
