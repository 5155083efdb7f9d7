from django.apps import AppConfig


class PersonalDataConfig(AppConfig):
    name = "apps.personal_data"
    verbose_name = "Personal data"
